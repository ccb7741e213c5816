"""Where a chunk ends when its size is counted in tokens."""

from __future__ import annotations

from collections.abc import Callable

from ._cut import FIRST_OF_WORD, NONSPACE, before_space, breaks
from ._graphemes import is_safe_cut

USUAL = 4
"""Characters of a token, for the first guess."""
CHARS = 8
"""Raw characters looked at for each token of a chunk, at most."""
_ROUNDS = 6


class TokenCutter:
    """Cut chunks of at most *size* tokens, as *length* counts them in clean text.

    Nothing is assumed of *length* but that a long text has more tokens than a short
    one, most of the time: each chunk is measured before it goes out. A grapheme that is
    more than *size* tokens is a chunk of its own. Looks at no more than ``reach`` raw
    characters from a chunk's start, so that a window serves, and the same chunks come
    from any blocks.
    """

    def __init__(
        self,
        *,
        size: int,
        overlap: int,
        clean: Callable[[str], str],
        length: Callable[[str], int],
    ) -> None:
        self._size = size
        self._overlap = overlap
        self._clean = clean
        self._length = length
        self._cap = CHARS * size
        self.reach = 2 * self._cap + 8
        self._final = False
        # The chunk that next_start had to look at is the one that is cut next.
        self._known: tuple[str, int, str] = "", 0, ""

    def cut(self, raw: str, start: int, *, final: bool) -> tuple[int, str]:
        """Return the end of the chunk that begins at *start*, and its clean text."""
        self._final = final
        (known, chars, text), self._known = self._known, ("", 0, "")
        if chars and raw[start : start + len(known)] == known:
            return start + chars, text
        return self._cut(raw, start)

    def _cut(self, raw: str, start: int) -> tuple[int, str]:
        high = start + self._most(raw[start : start + self._cap])
        whole = self._final and high == len(raw)
        end = before_space(raw, high if whole else self._break(raw, start, high))
        return end, self._clean(raw[start:end])

    def _tokens(self, text: str) -> int:
        return self._length(self._clean(text))

    def _most(self, text: str) -> int:
        """Return how many first characters are at most, and nearly, *size* tokens."""
        fits, too_many = 0, len(text) + 1
        guess = min(USUAL * self._size, len(text))
        rounds = 0
        while too_many - fits > 1 and (rounds < _ROUNDS or not fits):
            rounds += 1
            tokens = self._tokens(text[:guess])
            if tokens <= self._size:
                fits = guess
                if tokens > self._size - self._size // 20:
                    break
            else:
                too_many = guess
            # By the rule of three at first; it may fail, halving does not.
            guess = guess * self._size // max(1, tokens)
            if rounds >= _ROUNDS or not fits < guess < too_many:
                guess = (fits + too_many) // 2
        return max(fits, 1)

    def _fits(self, text: str) -> bool:
        return self._tokens(text) <= self._size

    def _break(self, raw: str, start: int, high: int) -> int:
        """Return the best end in the second half, else the last that fits."""
        low = start + (high - start + 1) // 2
        for end in breaks(raw, min(low, high - 1), high):
            if (
                end > low
                and (end == len(raw) or is_safe_cut(raw, end, start))
                and self._fits(raw[start:end])
            ):
                return end
        end = high
        while end > start:
            safe = end == len(raw) or is_safe_cut(raw, end, start)
            if safe and self._fits(raw[start:end]):
                return end
            # Misses that are no grapheme's fault get shorter fast.
            end -= max(1, (end - start) // 8) if safe else 1
        last = min(start + self._cap, len(raw))
        for end in range(start + 1, last):
            if is_safe_cut(raw, end, start):
                return end
        return last

    def next_start(self, raw: str, start: int, end: int) -> int:
        """Return where the next chunk begins: in the overlap, or at *end*."""
        low = self._overlap_start(raw, start, end)
        if low == end:
            return end
        after, text = self._cut(raw, low)
        if after <= end:
            return end
        # What the cut depends on: the text it may look at.
        self._known = raw[low : low + self._cap + 8], after - low, text
        return low

    def _overlap_start(self, raw: str, start: int, end: int) -> int:
        """Return the first word of which no more than *overlap* tokens are left."""
        fits, too_many = end, start
        guess = max(start + 1, end - USUAL * self._overlap)
        for _ in range(_ROUNDS):
            if fits - too_many <= 1:
                break
            if self._overlap and self._tokens(raw[guess:end]) <= self._overlap:
                fits = guess
            else:
                too_many = guess
            guess = (fits + too_many) // 2
        word = FIRST_OF_WORD.search(raw, max(start, fits - 1), end)
        low = word.end() if word and word.end() < end else fits
        while low < end and not is_safe_cut(raw, low, start):
            low += 1
        found = NONSPACE.search(raw, low, end)
        if not found or self._tokens(raw[found.start() : end]) > self._overlap:
            return end
        return found.start()
