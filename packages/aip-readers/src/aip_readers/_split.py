"""Split records into overlapping chunks that know the bytes they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING

from ._clean import Cleaner, Form, cleaning, is_plain
from ._cut import Cutter, nonspace
from ._document import Ahead, Document
from ._limits import at_least
from ._records import Chunk, Record, new_tuple, source_of

if TYPE_CHECKING:
    from ._token_cut import TokenCutter

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
        at_least(1, "size", self.size)
        at_least(0, "overlap", self.overlap)
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
        at_least(0, "first_ordinal", first_ordinal)
        cutter = self._cutter()
        stripping = self._cutter(clean=str.strip)
        ahead = Ahead(records)
        source: str | None = None
        ordinals = count(first_ordinal)
        try:
            for record in ahead:
                if source is None:
                    source = source_of(record)
                elif record.source != source:
                    source, ordinals = record.source, count()
                if record.key is None:
                    document = Document(record, ahead, cutter)
                    yield from chain.from_iterable(document.runs(ordinals))
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
    return (new_tuple(Chunk, fields),)


def _structured(
    record: Record, cutter: Cutter | TokenCutter, ordinals: Iterator[int]
) -> Iterator[Chunk]:
    source, text, first, last, line, _, metadata = record
    for clean, start, end in _cuts(text, cutter):
        within, number = (start, end), next(ordinals)
        fields = source, clean, first, last, within, number, metadata, line
        yield new_tuple(Chunk, fields)


def _cuts(text: str, cutter: Cutter | TokenCutter) -> Iterator[tuple[str, int, int]]:
    start = nonspace(text, 0)
    while start < len(text):
        if isinstance(cutter, Cutter) and cutter.runs:
            for usual, again in cutter.run(text, start):
                yield usual, start, start + len(usual)
                start += len(usual) - len(again)
        end, clean = cutter.cut(text, start, final=True)
        if clean:
            yield clean, start, end
        start = nonspace(text, cutter.next_start(text, start, end))
