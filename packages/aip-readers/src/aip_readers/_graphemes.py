"""Where text may be cut without cutting what a reader sees as one character.

Unicode Annex 29, told conservatively from ``unicodedata`` alone: a place called safe is
a grapheme boundary; a few boundaries beside rare characters are not called safe.
"""

from __future__ import annotations

import re
from unicodedata import category, combining

_MARKS = frozenset({"Mn", "Me", "Mc"})
_VIRAMA = 9
# Extend or SpacingMark without being a mark by category: joiners, halfwidth voiced
# marks, emoji modifiers and tags, Thai and Lao AM; and conjoining vowels and finals.
_JOINS_BEFORE = re.compile(
    "[\u200c\u200d\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u0e33\u0eb3"
    "\u1160-\u11ff\ud7b0-\ud7fb]"
)
# Prepend characters, leading Hangul consonants and the zero width joiner.
_JOINS_AFTER = re.compile(
    "[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd"
    "\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a\U00011a84-\U00011a89"
    "\U00011d46\U00011f02\u1100-\u115f\ua960-\ua97c\u200d]"
)
_FLAG_FIRST, _FLAG_LAST = "\U0001f1e6", "\U0001f1ff"


def is_safe_cut(text: str, at: int, low: int = 0) -> bool:
    r"""Tell whether ``text[at - 1]`` and ``text[at]`` belong to two graphemes.

    Looks back no further than *low*, which must be a safe cut itself.

    >>> [is_safe_cut("ae\u0301x", at) for at in (1, 2, 3)]
    [True, False, True]
    """
    before, after = text[at - 1], text[at]
    if before < "\x7f" and after < "\x7f":
        return not (before == "\r" and after == "\n")
    if category(after) in _MARKS or _JOINS_BEFORE.match(after):
        return False
    if _JOINS_AFTER.match(before):
        return False
    if _FLAG_FIRST <= after <= _FLAG_LAST:
        return _flags_before(text, at, low) % 2 == 0
    return not (category(before) in _MARKS and _ends_in_virama(text, at, low))


def _flags_before(text: str, at: int, low: int) -> int:
    first = at
    while first > low and _FLAG_FIRST <= text[first - 1] <= _FLAG_LAST:
        first -= 1
    return at - first


def _ends_in_virama(text: str, at: int, low: int) -> bool:
    """Tell whether the marks before *at* may bind an Indic conjunct."""
    while at > low and (category(text[at - 1]) in _MARKS or text[at - 1] == "\u200d"):
        at -= 1
        if combining(text[at]) == _VIRAMA:
            return True
    return False
