"""One plain text, piece by piece, cut into chunks that know their raw bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ._cut import Cutter, nonspace
from ._errors import ReadError
from ._records import Chunk, Record, new_tuple

if TYPE_CHECKING:
    from ._token_cut import TokenCutter


class Ahead:
    """An iterator that can take one record back."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = records
        self._iterator = iter(records)
        self._back: Record | None = None

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record, self._back = self._back, None
        return next(self._iterator) if record is None else record

    def give_back(self, record: Record) -> None:
        self._back = record

    def close(self) -> None:
        close = getattr(self._records, "close", None)
        if close is not None:
            close()


class Document:
    """A sliding window over the contiguous pieces of one plain text.

    Holds the cutter's reach and one piece.
    """

    def __init__(
        self, first: Record, ahead: Ahead, cutter: Cutter | TokenCutter
    ) -> None:
        self._ahead = ahead
        self._cutter = cutter
        self._source = first.source
        self._metadata = first.metadata
        self._encoding = first.metadata.get("encoding", "utf-8")
        self._run = None
        if isinstance(cutter, Cutter) and cutter.runs and self._encoding == "utf-8":
            self._run = cutter.run
        self._text = first.text
        self._start = 0
        self._offset = first.start
        self._line = first.line
        self._next_piece = first.end
        self._final = False
        self._error: ReadError | None = None
        # Where in the text a character stands for bytes that are not its own (U+FFFD
        # for bad ones): its place, counted from the document's start, and their number.
        self._dropped = 0
        self._odd: deque[tuple[int, int]] = deque()
        self._note(first)

    def runs(self, ordinals: Iterator[int]) -> Iterator[Iterable[Chunk]]:
        """Yield the chunks in runs, each to be taken before the next."""
        reach = self._cutter.reach
        while True:
            text, start = self._text, self._start
            if not self._final and len(text) - start < reach:
                self._fill()
                continue
            found = nonspace(text, start)
            if found > start or found == len(text):
                self._advance(found)
                if found == len(text) and self._final:
                    break
                continue
            if self._run and not self._odd:
                yield self._usual(self._run(text, start), ordinals)
                if self._start > start:
                    continue
            end, clean = self._cutter.cut(text, start, final=self._final)
            if clean:
                yield (self._chunk(clean, end, ordinals),)
            self._advance(self._cutter.next_start(text, start, end))
        if self._error:
            raise self._error

    def _usual(
        self, run: Iterator[tuple[str, str]], ordinals: Iterator[int]
    ) -> Iterator[Chunk]:
        """Yield the chunks of a run: of UTF-8, each byte its own."""
        source, metadata = self._source, self._metadata
        start, offset, line = self._start, self._offset, self._line
        for (text, words), number in zip(run, ordinals, strict=False):
            data, again = text.encode(), words.encode()
            end = offset + len(data)
            fields = source, text, offset, end, None, number, metadata, line
            yield new_tuple(Chunk, fields)
            line += data.count(b"\n") - again.count(b"\n")
            offset = end - len(again)
            start += len(text) - len(words)
        self._start, self._offset, self._line = start, offset, line

    def _chunk(self, clean: str, end: int, ordinals: Iterator[int]) -> Chunk:
        return Chunk(
            self._source,
            clean,
            self._offset,
            self._offset + self._bytes(end),
            None,
            next(ordinals),
            self._metadata,
            self._line,
        )

    def _note(self, piece: Record) -> None:
        """Remember a piece that is one U+FFFD, as the end of the window."""
        if piece.text == "\ufffd":
            place = self._dropped + len(self._text) - 1
            self._odd.append((place, piece.end - piece.start))

    def _bytes(self, to: int) -> int:
        """Count the raw bytes from the start of the window to index *to*."""
        if self._odd:
            return self._bytes_with_odd(to)
        if self._encoding == "utf-8":
            if self._text.isascii():
                return to - self._start
            return len(self._text[self._start : to].encode())
        return len(self._text[self._start : to].encode(self._encoding))

    def _bytes_with_odd(self, to: int) -> int:
        total, at = 0, self._start
        for place, size in self._odd:
            odd = place - self._dropped
            if odd >= to:
                break
            total += len(self._text[at:odd].encode(self._encoding)) + size
            at = odd + 1
        return total + len(self._text[at:to].encode(self._encoding))

    def _advance(self, to: int) -> None:
        self._offset += self._bytes(to)
        while self._odd and self._odd[0][0] < self._dropped + to:
            self._odd.popleft()
        self._line += self._text.count("\n", self._start, to)
        self._start = to

    def _fill(self) -> None:
        """Add the next contiguous piece, or find that there is none."""
        try:
            piece = next(self._ahead, None)
        except ReadError as error:
            self._error, piece = error, None
        if piece is None or not self._follows(piece):
            self._final = True
            if piece is not None:
                self._ahead.give_back(piece)
            return
        self._text = self._text[self._start :] + piece.text
        self._dropped += self._start
        self._start = 0
        self._next_piece = piece.end
        self._note(piece)

    def _follows(self, piece: Record) -> bool:
        return (
            piece.key is None
            and piece.start == self._next_piece
            and piece.source == self._source
        )
