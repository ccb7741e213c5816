"""JSON by orjson where ``[fast]`` is installed, else by the standard library."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

encode: Callable[[Any], bytes]
decode: Callable[[bytes], Any]


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def _decode(body: bytes) -> Any:
    # JSON is UTF-8 (RFC 8259 8.1): json.loads need not look for anything else.
    return json.loads(str(body, "utf-8"))


if find_spec("orjson") is None:
    encode, decode = _encode, _decode
else:
    import orjson

    encode, decode = orjson.dumps, orjson.loads
