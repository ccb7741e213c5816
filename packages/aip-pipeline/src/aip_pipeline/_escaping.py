"""Text that comes from outside, where not every character may go as it is."""

from __future__ import annotations

import re

# Python reads the bytes of a name that is not UTF-8 as these (PEP 383).
_FIRST_BYTE, _LAST_BYTE, _BYTES_FROM = "\udc80", "\udcff", 0xDC00
_SURROGATES = re.compile("[\ud800-\udfff]")
# Controls, line ends of other kinds, and what turns writing round.
_FOR_TERMINALS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def as_utf8(text: str) -> str:
    r"""Escape what UTF-8 cannot carry: the odd bytes of a file's name.

    >>> print(as_utf8("caf\udce9.txt"))
    caf\xe9.txt
    """
    return _SURROGATES.sub(_escape, text)


def as_shown(text: str, *, keep: str = "") -> str:
    r"""Escape also what a terminal would obey, but for the characters to *keep*.

    >>> print(as_shown("red\x1b[31m\nline"))
    red\x1b[31m\nline
    """
    return _FOR_TERMINALS.sub(lambda m: m[0] if m[0] in keep else _escape(m), text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if _FIRST_BYTE <= character <= _LAST_BYTE:
        return f"\\x{ord(character) - _BYTES_FROM:02x}"
    return character.encode("unicode_escape").decode()
