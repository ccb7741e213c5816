"""Where a chunk ends and the next begins: a function of the text from its start on."""

from __future__ import annotations

import re
from collections.abc import Callable

from ._graphemes import is_safe_cut

FIRST_OF_WORD = re.compile(r"\s(?=\S)")
NONSPACE = re.compile(r"\S")
_SENTENCE_ENDS = ". ", "? ", "! ", ".\n", "?\n", "!\n", ".\r", "?\r", "!\r"
_WIDE_ENDS = "。", "！", "？"  # noqa: RUF001  # these end sentences in CJK text
SLACK = 4
"""Raw characters looked at for each character of a chunk, at most."""
_ROUNDS = 4


def breaks(raw: str, low: int, high: int) -> tuple[int, ...]:
    """Return the last ends before *high*, best first: paragraph, sentence, line, word.

    Those at or below *low* are none.
    """
    end = raw.rfind("\n\n", low, high + 2)
    if end < 0:
        end = raw.rfind("\r\n\r\n", low, high + 4)
    if end > low:
        return (end,)
    ends = [raw.rfind(mark, low, high + 1) for mark in _SENTENCE_ENDS]
    if not raw.isascii():
        ends += [raw.rfind(mark, low, high) for mark in _WIDE_ENDS]
    line = raw.rfind("\n", low, high + 1)
    if line > 0 and raw[line - 1] == "\r":
        line -= 1
    return max(ends) + 1, line, raw.rfind(" ", low, high + 1)


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
        # next_start looks at the text that is cut next.
        self._window, self._cleaned = "", ""

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
        end = high if whole else self._break(raw, start, high)
        while raw[end - 1].isspace():
            end -= 1
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
