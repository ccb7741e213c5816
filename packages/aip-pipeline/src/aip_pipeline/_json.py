"""JSON by orjson where `[fast]` is installed, else by the standard library."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

encode: Callable[[Any], bytes]
decode: Callable[[bytes], Any]

# Made once: json.dumps with a setting would make an encoder for every call.
_to_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def _encode(value: Any) -> bytes:
    return _to_text.encode(value).encode()


def _fast_codec() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    orjson = importlib.import_module("orjson")

    def dump(value: Any) -> bytes:
        try:
            written: bytes = orjson.dumps(value, default=str)
        except TypeError:
            # What orjson refuses, such as a key that is no string or an int beyond
            # 64 bits, the standard library writes.
            written = _encode(value)
        return written

    def load(raw: bytes) -> Any:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            return json.loads(raw)  # which also reads NaN, and says what is wrong

    return dump, load


if find_spec("orjson") is None:
    encode, decode = _encode, json.loads
else:
    encode, decode = _fast_codec()
