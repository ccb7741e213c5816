"""Split records into overlapping chunks that know the bytes they came from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ._clean import Cleaner, Form, cleaning, is_plain
from ._cut import NONSPACE, Cutter
from ._errors import ReadError
from ._records import Chunk, Record, source_of

if TYPE_CHECKING:
    from ._token_cut import TokenCutter

# Without the Python function that a NamedTuple makes of it.
_new = tuple.__new__
_LOOK = 1 << 16
"""Characters of a record that are looked at as a whole before it is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitter:
    """How text is split: chunks of at most *size* clean characters, or tokens.

    A chunk ends at a paragraph, sentence, line or word in its second half, and begins
    at a word within the last *overlap* raw characters of the one before. No grapheme is
    cut: where the last one takes more than half of *size* and does not fit, the chunk
    is longer than *size*, up to ``4 * size`` raw characters; only there a grapheme is
    cut. Where a chunk ends depends only on the text from its own start on.

    With *length*, any function that counts a text's tokens, *size* and *overlap* are
    tokens of clean text, at most. A chunk looks at 8 raw characters for each of its
    tokens; only a grapheme that is more than *size* tokens makes a longer one.
    """

    size: int = 1000
    overlap: int = 100
    clean: Form = "nfc"
    length: Callable[[str], int] | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, not {self.size!r}")
        if not 0 <= self.overlap <= self.size // 2:
            raise ValueError(
                f"overlap must be from 0 to half of size={self.size}, "
                f"not {self.overlap!r}"
            )
        Cleaner(form=self.clean)

    def split(
        self, records: Iterable[Record], *, first_ordinal: int = 0
    ) -> Iterator[Chunk]:
        """Yield the chunks of *records*; see ``split``."""
        cutter = self._cutter()
        stripping = self._cutter(clean=str.strip)
        ahead = _Ahead(records)
        source: str | None = None
        ordinals = count(first_ordinal)
        try:
            for record in ahead:
                if source is None:
                    source = source_of(record)
                elif record.source != source:
                    source, ordinals = record.source, count()
                if record.key is None:
                    yield from _Document(record, ahead, cutter).chunks(ordinals)
                elif isinstance(cutter, Cutter) and len(record.text) <= self.size:
                    yield from _short(record, cutter, ordinals)
                else:
                    which = stripping if self._is_plain(record.text) else cutter
                    yield from _structured(record, which, ordinals)
        finally:
            ahead.close()

    def _is_plain(self, text: str) -> bool:
        """Tell whether one look spares cleaning each chunk, and those that overlap."""
        return self.clean == "nfc" and len(text) <= _LOOK and is_plain(text)

    def _cutter(
        self, *, clean: Callable[[str], str] | None = None
    ) -> Cutter | TokenCutter:
        clean = clean or cleaning(self.clean)
        if self.length is None:
            return Cutter(size=self.size, overlap=self.overlap, clean=clean)
        from ._token_cut import TokenCutter  # noqa: PLC0415  # where it is asked for

        return TokenCutter(
            size=self.size, overlap=self.overlap, clean=clean, length=self.length
        )


def split(
    records: Iterable[Record],
    *,
    size: int = 1000,
    overlap: int = 100,
    clean: Form = "nfc",
    length: Callable[[str], int] | None = None,
    first_ordinal: int = 0,
) -> Iterator[Chunk]:
    """Yield clean chunks of at most *size* characters, in one pass.

    *length* counts tokens instead: ``lambda text: len(encoding.encode(text))``.
    A chunk is longer where a long grapheme would be cut otherwise; see ``Splitter``.
    Contiguous records without a key are pieces of one plain text, held a block at a
    time; a record with a key is a document of its own. To go on from a chunk of a plain
    text, open its source with ``start=chunk.start, start_line=chunk.line`` and pass
    ``first_ordinal=chunk.ordinal``. When *records* raises a ``ReadError``, the chunks
    of what was read come first. *records* is closed at the end.
    """
    splitter = Splitter(size=size, overlap=overlap, clean=clean, length=length)
    return splitter.split(records, first_ordinal=first_ordinal)


class _Ahead:
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


class _Document:
    """A sliding window over the contiguous pieces of one plain text.

    Holds the cutter's reach and one piece.
    """

    def __init__(
        self, first: Record, ahead: _Ahead, cutter: Cutter | TokenCutter
    ) -> None:
        self._ahead = ahead
        self._cutter = cutter
        self._source = first.source
        self._metadata = first.metadata
        self._encoding = first.metadata.get("encoding", "utf-8")
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

    def chunks(self, ordinals: Iterator[int]) -> Iterator[Chunk]:
        reach = self._cutter.reach
        while True:
            if not self._final and len(self._text) - self._start < reach:
                self._fill()
                continue
            text, start = self._text, self._start
            found = _nonspace(text, start)
            if found > start or found == len(text):
                self._advance(found)
                if found == len(text) and self._final:
                    break
                continue
            end, clean = self._cutter.cut(text, start, final=self._final)
            if clean:
                yield self._chunk(clean, end, ordinals)
            self._advance(self._cutter.next_start(text, start, end))
        if self._error:
            raise self._error

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


def _short(record: Record, cutter: Cutter, ordinals: Iterator[int]) -> Iterable[Chunk]:
    """Return what ``_structured`` makes of a record that needs no cut."""
    source, text, first, last, line, _, metadata = record
    bare = text.strip()
    clean = cutter.clean(bare)
    if len(clean) > cutter.size:
        return _structured(record, cutter, ordinals)
    if not clean:
        return ()
    start = 0 if len(bare) == len(text) else text.index(bare)
    within = start, start + len(bare)
    number = next(ordinals)
    fields = source, clean, first, last, within, number, metadata, line
    return (_new(Chunk, fields),)


def _structured(
    record: Record, cutter: Cutter | TokenCutter, ordinals: Iterator[int]
) -> Iterator[Chunk]:
    source, text, first, last, line, _, metadata = record
    start = _nonspace(text, 0)
    while start < len(text):
        end, clean = cutter.cut(text, start, final=True)
        if clean:
            within, number = (start, end), next(ordinals)
            fields = source, clean, first, last, within, number, metadata, line
            yield _new(Chunk, fields)
        start = _nonspace(text, cutter.next_start(text, start, end))


def _nonspace(text: str, start: int) -> int:
    """Return the place of the first character from *start* on that is no space."""
    if start < len(text) and not text[start].isspace():
        return start  # as most chunks begin; a search costs ten times the look
    found = NONSPACE.search(text, start)
    return found.start() if found else len(text)
