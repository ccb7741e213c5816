"""Lines as text, and as records."""

from __future__ import annotations

from io import BytesIO
from itertools import accumulate, islice, repeat
from operator import sub

from ._errors import RecordEncodingError, settle
from ._files import Path
from ._limits import Limits, at_least
from ._lines import LineBatch, LineSource, RawLine
from ._reader import Asked, Reader
from ._records import Record
from ._source import BLOCK, ByteSource
from ._text import NUL, PLAIN
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ._types import OnError


def decode_line(source: str, raw: RawLine) -> str:
    """Return the text of one line, or raise ``RecordEncodingError``."""
    try:
        text = str(raw.data, "utf-8")
    except UnicodeDecodeError as error:
        bad = raw.data[error.start : error.end].hex(" ")
        reason = f"bytes {bad} are not utf-8: {error.reason}"
        at = raw.start + error.start
        raise RecordEncodingError(source, at, raw.line, reason) from error
    if "\0" in text:
        at = raw.start + raw.data.index(b"\0")
        raise RecordEncodingError(source, at, raw.line, NUL)
    return text


def replaced(raw: RawLine) -> str:
    """Return the text of one line with U+FFFD for what is not text."""
    return str(raw.data, "utf-8", "replace").replace("\0", "\ufffd")


def line_text(source: str, raw: RawLine, on_error: OnError) -> str | None:
    """Return the text of one line; None where it is bad and is passed over."""
    try:
        return decode_line(source, raw)
    except RecordEncodingError as error:
        return replaced(raw) if settle(error, on_error) else None


def _whole_text(batch: LineBatch) -> list[str] | None:
    """Return the lines of a batch that holds no damage, else None."""
    data = batch.data
    if b"\0" in data:
        return None
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        return None
    # Asked of the bytes: a text may take four times the room.
    if b"\r" in data:
        text = text.replace("\r\n", "\n")
        text = text.removesuffix("\r") if batch.ended else text
    texts = text.split("\n")
    batch.count = len(texts)
    return texts


def make_records(
    batch: LineBatch,
    source: str,
    texts: Sequence[str],
    *,
    keys: Iterable[str],
    metadata: Iterable[Mapping[str, Any]],
) -> list[Record]:
    """Make all records of a block with no Python step between them."""
    # Lines with their ends, found by memchr: their lengths add up to the starts.
    sizes = map(len, BytesIO(batch.data))
    starts = list(accumulate(sizes, initial=batch.start))
    if len(starts) == len(texts):
        starts.append(starts[-1])
    starts[-1] += 1
    ends: Iterable[int] = map(sub, islice(starts, 1, None), repeat(1))
    if b"\r" in batch.data:
        ends = [raw.end for raw in batch.raw_lines()]
    numbers = range(batch.line, batch.line + len(texts))
    fields = zip(
        repeat(source), texts, starts, ends, numbers, keys, metadata, strict=False
    )
    # As fast as tuples: no Python call for each record.
    return list(map(tuple.__new__, repeat(Record), fields))


class LineReader(Reader[Record]):
    """The lines of a file as records."""

    format = "lines"

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path, self._records, asked)

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        lines = LineSource(
            source,
            limits=self.limits,
            line=self._line,
            on_error=self._on_error,
            encoding=self._encoding,
            after_record=self._cursor is not None,
        )
        for batch in lines.batches():
            texts = None if batch.spans else _whole_text(batch)
            if texts is None:
                for record in self._one_by_one(batch):
                    yield (record,)
            else:
                yield make_records(
                    batch, self.source, texts, keys=repeat(""), metadata=repeat(PLAIN)
                )

    def _one_by_one(self, batch: LineBatch) -> Iterator[Record]:
        for raw in batch.raw_lines():
            text = line_text(self.source, raw, self._on_error)
            if text is not None:
                yield Record(self.source, text, raw.start, raw.end, raw.line, "", PLAIN)


class read_lines(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    r"""Yield the lines of a file, without their ends (``\n`` or ``\r\n``).

    Reads *chunk_size* bytes at a time and holds at most ``limits.max_record_bytes``. A
    bad line is a ``RecordError`` and the rest goes on. ``.records()`` yields the
    same lines with their spans.
    """

    def __init__(
        self,
        path: Path,
        chunk_size: int = BLOCK,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        start: int | None = None,
    ) -> None:
        asked = Asked(limits, on_error, encoding, start)
        super().__init__(path, self._texts, asked)
        self._size = at_least(1, "chunk_size", chunk_size)

    def _texts(self, source: ByteSource) -> Iterator[Sequence[str]]:
        lines = LineSource(
            source,
            limits=self.limits,
            on_error=self._on_error,
            encoding=self._encoding,
            size=self._size,
        )
        for batch in lines.batches():
            texts = _whole_text(batch)
            if texts is None:
                for text in self._one_by_one(batch):
                    yield (text,)
                continue
            batch.data = b""
            yield texts
            # Let go of this block before the next is read.
            del texts

    def _one_by_one(self, batch: LineBatch) -> Iterator[str]:
        for raw in batch.raw_lines():
            text = line_text(self.source, raw, self._on_error)
            if text is not None:
                yield text

    def records(self) -> LineReader:
        """Yield the lines as ``Record``s with exact spans."""
        return LineReader(self.path, self._asked)
