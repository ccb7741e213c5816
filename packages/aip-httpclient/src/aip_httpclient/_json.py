"""JSON by orjson where ``[fast]`` is installed, else by the standard library."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

encode: Callable[[Any], bytes]
decode: Callable[[bytes], Any]


def _encode(value: Any) -> bytes:
    return json.dumps(value).encode()


if find_spec("orjson") is None:
    encode, decode = _encode, json.loads
else:
    _fast = importlib.import_module("orjson")
    encode, decode = _fast.dumps, _fast.loads
