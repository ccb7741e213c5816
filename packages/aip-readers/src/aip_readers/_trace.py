"""Clean text that knows, for each of its characters, the raw bytes it came from."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple
from unicodedata import is_normalized, normalize

from ._clean import COMPOSES, CONTROLS, cut_safely, is_mark, plain
from ._records import Record, source_of

_CONTROL = re.compile(CONTROLS)
_TOKEN = re.compile(rf"{CONTROLS}*+\s(?:\s|{CONTROLS})*+|\S++")


class Run(NamedTuple):
    """A stretch of clean text from index *at* on, and the raw bytes it came from.

    Where *exact*, each character stands for itself; else all stand for all the bytes.
    """

    at: int
    start: int
    end: int
    exact: bool


class CleanPiece(NamedTuple):
    """A piece of clean text with the map of its offsets; ``span`` reads the map."""

    source: str
    text: str
    start: int
    end: int
    encoding: str
    runs: tuple[Run, ...]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Return the raw bytes that the characters ``text[first:last]`` came from."""
        if not 0 <= first < last <= len(self.text):
            raise ValueError(
                f"a span needs 0 <= first < last <= {len(self.text)}, "
                f"not [{first}, {last})"
            )
        return self._edge(first, 0), self._edge(last - 1, 1)

    def _edge(self, index: int, after: int) -> int:
        run = self.runs[bisect_right(self.runs, index, key=lambda run: run.at) - 1]
        if not run.exact:
            return run.end if after else run.start
        return run.start + len(self.text[run.at : index + after].encode(self.encoding))


def trace(records: Iterable[Record]) -> Iterator[CleanPiece]:
    """Clean contiguous pieces of plain texts; see ``Cleaner.trace``."""
    for source, pieces in groupby(records, key=source_of):
        yield from _Tracer(source).pieces(pieces)


class _Tracer:
    """Clean one text; holds what ``cut_safely`` does, and the map of one piece."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._encoding = "utf-8"
        # Records whose text is still to come out: characters left, start, end.
        self._known: deque[tuple[int, int, int]] = deque()
        self._begun = False
        self._parts: list[str] = []
        self._chars = 0
        self._runs: list[Run] = []
        # Whitespace may be the end of the text, where it is dropped: keep it back.
        self._gap: tuple[str, int, int, bool] | None = None

    def pieces(self, records: Iterable[Record]) -> Iterator[CleanPiece]:
        for raw in cut_safely(self._texts(records)):
            self._take(raw)
            if self._runs:
                text, runs = "".join(self._parts), tuple(self._runs)
                start, end = runs[0].start, runs[-1].end
                yield CleanPiece(self._source, text, start, end, self._encoding, runs)
                self._parts, self._runs, self._chars = [], [], 0

    def _texts(self, records: Iterable[Record]) -> Iterator[str]:
        for record in records:
            if record.key is not None:
                raise ValueError("only pieces of plain text have bytes of their own")
            self._encoding = record.metadata.get("encoding", "utf-8")
            if record.text:
                self._known.append((len(record.text), record.start, record.end))
            yield record.text

    def _take(self, raw: str) -> None:
        """Clean what can be cleaned for itself."""
        text = plain(raw)
        if text == raw and not raw[0].isspace() and not raw[-1].isspace():
            # Most text is clean: it stands for itself, record by record.
            at = 0
            while at < len(raw):
                size = min(len(raw) - at, self._known[0][0])
                self._word(raw[at : at + size], *self._bytes(raw[at : at + size]))
                at += size
            return
        for found in _TOKEN.finditer(raw):
            token = found[0]
            if token[-1].isspace() or _CONTROL.sub("", token).isspace():
                self._space(token)
            elif is_normalized("NFC", token) and not _CONTROL.search(token):
                self._word(token, *self._bytes(token))
            else:
                self._odd_word(token)

    def _space(self, token: str) -> None:
        start, end, plain_bytes = self._bytes(token)
        text = plain(token)
        exact = text == token and plain_bytes
        if self._gap:
            text, start, exact = plain(self._gap[0] + text), self._gap[1], False
        self._gap = text, start, end, exact

    def _odd_word(self, word: str) -> None:
        """Go by what composes only with itself."""
        first = 0
        for at in range(1, len(word) + 1):
            if at < len(word) and (
                _CONTROL.match(word, at)
                or is_mark(word[at])
                or COMPOSES.match(word, at)
            ):
                continue
            part, first = word[first:at], at
            start, end, plain_bytes = self._bytes(part)
            text = normalize("NFC", _CONTROL.sub("", part))
            if text:
                self._word(text, start, end, plain_bytes and text == part)

    def _word(self, text: str, start: int, end: int, exact: bool) -> None:  # noqa: FBT001  # as _bytes returns it
        gap, self._gap = self._gap, None
        if gap and self._begun:
            self._add(*gap)
        self._begun = True
        self._add(text, start, end, exact)

    def _add(self, text: str, start: int, end: int, exact: bool) -> None:  # noqa: FBT001  # as _bytes returns it
        last = self._runs[-1] if self._runs else None
        if last and last.exact and exact and last.end == start:
            self._runs[-1] = last._replace(end=end)
        else:
            self._runs.append(Run(self._chars, start, end, exact))
        self._parts.append(text)
        self._chars += len(text)

    def _bytes(self, text: str) -> tuple[int, int, bool]:
        """Pass over the next raw characters; return their bytes.

        And whether each has bytes of its own: U+FFFD for bad bytes has others.
        """
        start, end, exact = -1, -1, True
        while text:
            left, first, last = self._known.popleft()
            part, text = text[:left], text[left:]
            exact = exact and (start < 0 or end == first)
            start = first if start < 0 else start
            if left == len(part):
                exact = exact and self._has_own_bytes(part, last - first)
                end = last
            else:
                end = first + len(part.encode(self._encoding))
                self._known.appendleft((left - len(part), end, last))
        return start, end, exact

    def _has_own_bytes(self, text: str, n_bytes: int) -> bool:
        try:
            return len(text.encode(self._encoding)) == n_bytes
        except UnicodeEncodeError:
            return False  # U+FFFD, which few encodings have
