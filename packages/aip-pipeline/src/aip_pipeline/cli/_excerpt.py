"""The part of a passage that shows why it was found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Words of the index are stems by Porter's rules; to place a window, the beginning of a
# word without the commonest endings is near enough.
_ENDINGS = "(?:ings?|ed|es|e|s)"
_ENDING = re.compile(rf"(?<=\w{{3}}){_ENDINGS}$")
_WORD = re.compile(r"[^\W_]+")
# Scripts that write no space between words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u9fff]")
MIN_PREFIX = 4  # of what is shorter, only the ending may differ


def excerpt(text: str, query: str, *, size: int) -> str:
    """Cut *text* to about *size* characters, where most of the query's words are.

    White space becomes single spaces, and so does what a terminal would obey.

    >>> excerpt("One two three four five. Killing a run.", "killed runs", size=20)
    '... Killing a run.'
    """
    shown = "".join(c if c.isprintable() else " " for c in text)
    shown = " ".join(shown.split())
    if len(shown) <= size:
        return shown
    start = _start(shown, query, size=size)
    end = start + size
    # Words are not cut, where there are words.
    if start and (space := shown.find(" ", start - 1, start + size // 8)) >= 0:
        start = space + 1
    if end < len(shown) and (space := shown.rfind(" ", end - size // 8, end + 1)) >= 0:
        end = space
    before, after = "... " if start else "", " ..." if end < len(shown) else ""
    return before + shown[start:end] + after


def _start(text: str, query: str, *, size: int) -> int:
    """Return where a window of *size* holds the longest words of the query."""
    words = sorted(set(_WORD.findall(_folded(query))), key=len, reverse=True)
    if not words:
        return 0
    found = [(m.start(), m[m.lastindex or 0]) for m in _seen(words, _folded(text))]
    best, most = 0, 0
    for at, (first, _) in enumerate(found):
        last = first + size
        inside = [one for one in found[at : at + size] if one[0] < last]
        weight = sum(map(len, {word for _, word in inside}))
        if weight > most:
            most, best = weight, (first + inside[-1][0] + len(inside[-1][1])) // 2
    return max(0, min(best - size // 2, len(text) - size))


def _seen(words: list[str], folded: str) -> Iterable[re.Match[str]]:
    parts = []
    for word in words:
        stem = _ENDING.sub("", word)
        if _UNSPACED.search(word):
            parts.append(f"({re.escape(word)})")
        elif len(stem) < MIN_PREFIX:
            parts.append(rf"\b({re.escape(stem)}){_ENDINGS}?\b")
        else:
            parts.append(rf"\b({re.escape(stem)})\w*")
    return re.finditer("|".join(parts), folded)


def _folded(text: str) -> str:
    """Lower-case, without accents, and as long as before."""
    return "".join(map(_bare, text))


def _bare(character: str) -> str:
    apart = unicodedata.normalize("NFD", character)
    # A Hangul syllable falls apart too, but its vowel is no accent.
    base = apart[0] if all(map(unicodedata.combining, apart[1:])) else character
    return base.lower()[:1]
