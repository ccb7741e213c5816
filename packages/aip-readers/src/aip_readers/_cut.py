"""Where a chunk ends and the next begins: a function of the text from its start on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ._graphemes import is_safe_cut

FIRST_OF_WORD = re.compile(r"\s(?=\S)")
NONSPACE = re.compile(r"\S")
_SENTENCE_ENDS = "? ", "! ", ".\n", "?\n", "!\n", ".\r", "?\r", "!\r"
_WIDE_ENDS = "。", "！", "？"  # noqa: RUF001  # these end sentences in CJK text
SLACK = 4
"""Raw characters looked at for each character of a chunk, at most."""
_ROUNDS = 4


_NEW = 8
"""Characters after a usual chunk of which one at least is no space."""


def breaks(raw: str, low: int, high: int) -> Iterator[int]:
    """Yield the last ends before *high*, best first: paragraph, sentence, line, word.

    Those at or below *low* are none. After a paragraph there is nothing better.
    """
    end = raw.rfind("\n\n", low, high + 2)
    if end > low:
        yield end
        return
    # Searched many times: short, and no wider than what it holds.
    near, size = raw[low : high + 4], high - low
    if end < 0 and (end := near.rfind("\r\n\r\n")) > 0:
        yield low + end
        return
    yield low + _sentence_end(near, size)
    line = near.rfind("\n", 0, size + 1)
    if line > 0 and near[line - 1] == "\r":
        line -= 1
    yield low + line
    yield low + near.rfind(" ", 0, size + 1)


def _sentence_end(near: str, size: int) -> int:
    end = near.rfind(". ", 0, size + 1)
    # Only what ends after the last full stop is better, and that is soon searched.
    rest = near[max(0, end) : size + 1]
    for mark in _SENTENCE_ENDS:
        if mark in rest:
            end = max(end, near.rfind(mark, 0, size + 1))
    if not rest.isascii():
        for mark in _WIDE_ENDS:
            end = max(end, near.rfind(mark, 0, size))
    return end + 1


class Cutter:
    """Cut chunks of at most *size* clean characters out of raw text.

    A grapheme that does not fit makes its chunk longer, up to ``SLACK * size`` raw.
    Looks at no more than ``reach`` raw characters from a chunk's start.
    """

    def __init__(self, *, size: int, overlap: int, clean: Callable[[str], str]) -> None:
        self.size = size
        self._overlap = overlap
        self.clean = clean
        self._cap = SLACK * size
        self.reach = 2 * self._cap + 8
        # A run is of text that cleaning leaves alone or strips, and it leaves to
        # next_start what may not bring anything new.
        as_is = clean in (str, str.strip)
        self.runs = as_is and 0 < overlap < size // 2 - _NEW
        # next_start looks at the text that is cut next.
        self._window, self._cleaned = "", ""

    def run(self, raw: str, start: int) -> Iterator[tuple[str, str]]:
        """Yield the usual chunks from *start* on, and what the next one has of each.

        They are those of ``cut`` and ``next_start``. The first chunk that takes a
        closer look, or more text, ends the run.
        """
        rfind, overlap, size = raw.rfind, self._overlap, self.size
        half, tail = (size + 1) // 2, -overlap - 1
        last = len(raw) - size - _NEW if self.runs else 0
        while start < last:
            low = start + half
            end = rfind("\n\n", low, start + size + 2)
            if end <= low or not " " < raw[end - 1] < "\x7f":
                # One that outgrows its size has no word to go on from: no run.
                end = before_space(raw, self._break(raw, start, start + size))
            text = raw[start:end]
            words = text[tail:]
            words = words.lstrip() if words[0].isspace() else words.split(None, 1)[-1]
            again = end - len(words)
            if (
                not start < end - overlap <= again
                or (words[0] >= "\x7f" and not is_safe_cut(raw, again, start))
                or (raw[end + 2].isspace() and raw[end : end + _NEW].isspace())
            ):
                break
            yield text, words
            start = again

    def cut(self, raw: str, start: int, *, final: bool) -> tuple[int, str]:
        """Return the end of the chunk that begins at *start*, and its clean text."""
        high = min(start + self.size, len(raw))
        window = raw[start:high]
        text = self._cleaned if window == self._window else self.clean(window)
        # Cleaning left it alone, or took whitespace from its end only.
        as_is = text in (window, window.rstrip())
        if not as_is:
            high, text = self._fit(raw, start, high, text)
        whole = final and high == len(raw)
        end = before_space(raw, high if whole else self._break(raw, start, high))
        if as_is and start < end <= start + len(text):
            return end, text[: end - start]
        return end, self.clean(raw[start:end])

    def _fit(self, raw: str, start: int, high: int, text: str) -> tuple[int, str]:
        """Take more raw text until its clean text is nearly *size* long."""
        cap, size = min(start + self._cap, len(raw)), self.size
        for _ in range(_ROUNDS):
            if len(text) >= size - size // 20 or high == cap:
                break
            high = min(cap, high + size - len(text))
            text = self.clean(raw[start:high])
        while len(text) > size and high > start + 1:
            # Normalisation may lengthen text, threefold at most.
            high -= max(1, (len(text) - size) // 3)
            text = self.clean(raw[start:high])
        return high, text

    def _break(self, raw: str, start: int, high: int) -> int:
        """Return the best end in the second half: paragraph, sentence, line, word."""
        low = min(start + (high - start + 1) // 2, high - 1)
        for end in breaks(raw, low, high):
            if end > low and (end == len(raw) or is_safe_cut(raw, end, start)):
                return end
        return self._hard(raw, start, low, high)

    def _hard(self, raw: str, start: int, low: int, high: int) -> int:
        """Cut at other whitespace, else between graphemes, else after a long one.

        Never in the first half: what follows an overlap must bring something new.
        """
        for end in range(min(high, len(raw) - 1), low, -1):
            if raw[end].isspace() and is_safe_cut(raw, end, start):
                return end
        for end in range(high, low, -1):
            if end == len(raw) or is_safe_cut(raw, end, start):
                return end
        last = min(start + self._cap, len(raw))
        for end in range(high + 1, last):
            if is_safe_cut(raw, end, start):
                return end
        return last

    def next_start(self, raw: str, start: int, end: int) -> int:
        """Return where the next chunk begins: in the overlap, or at *end*."""
        low = end - self._overlap
        if not self._overlap or low <= start:
            return end
        word = FIRST_OF_WORD.search(raw, low - 1, end)
        if word and word.end() < end:
            low = word.end()
        if not raw.isascii():
            while low < end and not is_safe_cut(raw, low, start):
                low += 1
        return low if self._brings_new(raw, low, end) else end

    def _brings_new(self, raw: str, low: int, end: int) -> bool:
        """Tell whether the chunk that begins at *low* surely ends after *end*.

        It ends in its second half, so something must stand in its first half.
        """
        half = low + self.size // 2
        if NONSPACE.search(raw, end, half) is None:
            return False
        if raw.isascii():
            return True  # only normalisation may lengthen text
        window = raw[low : low + self.size]
        self._window, self._cleaned = window, self.clean(window)
        return len(self._cleaned) <= len(window)


def before_space(raw: str, end: int) -> int:
    """Return *end*, or where the space before it begins."""
    while raw[end - 1].isspace():
        end -= 1
    return end


def nonspace(text: str, start: int) -> int:
    """Return the place of the first character from *start* on that is no space."""
    if start < len(text) and not text[start].isspace():
        return start  # as most chunks begin; a search costs ten times the look
    found = NONSPACE.search(text, start)
    return found.start() if found else len(text)
