"""Base64 by pybase64 where `[fast]` is installed, else by the standard library."""

from __future__ import annotations

import importlib
from binascii import a2b_base64
from collections.abc import Callable
from importlib.util import find_spec

from_base64: Callable[[str], bytes]


def strict(coded: str) -> bytes:
    """Read base64, or raise ValueError, by the standard library."""
    return a2b_base64(coded, strict_mode=True)


def fast() -> Callable[[str], bytes]:
    """Return what does the same by pybase64, which knows vector instructions."""
    b64decode = importlib.import_module("pybase64").b64decode

    def read(coded: str) -> bytes:
        try:
            raw: bytes = b64decode(coded, validate=True)
        except ValueError:
            return strict(coded)  # which says what is wrong, if it is
        return raw

    return read


from_base64 = strict if find_spec("pybase64") is None else fast()
