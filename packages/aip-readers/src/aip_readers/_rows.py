"""CSV rows, with quoted line ends, and the exact bytes of each (RFC 4180)."""

from __future__ import annotations

import csv

from ._errors import (
    OversizeError,
    ParseError,
    RecordEncodingError,
    RecordError,
    settle,
)
from ._jsonl import whole_only
from ._limits import Limits
from ._line_readers import decode_line, replaced
from ._lines import LineSource, RawLine
from ._source import ByteSource
from ._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._types import OnError


class Row(NamedTuple):
    """The fields of one row, and where it is."""

    fields: list[str]
    start: int
    end: int
    line: int


class RowSource:
    """The rows of one source; a row is bounded by ``max_record_bytes``.

    Holds one row's lines. After a bad row, reading goes on with the line after the one
    on which it began.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        limits: Limits,
        line: int,
        on_error: OnError,
        encoding: str,
        delimiter: str,
    ) -> None:
        self._name = source.name
        self._limits = whole_only(limits)
        self._on_error = on_error
        self._delimiter = delimiter
        # The csv module's own limit is process-wide, and lower than a row may be.
        csv.field_size_limit(max(csv.field_size_limit(), limits.max_record_bytes))
        lines = LineSource(
            source, limits=limits, line=line, on_error=on_error, encoding=encoding
        )
        self._fresh = (raw for batch in lines.batches() for raw in batch.raw_lines())
        # Never more than two: whoever reads on from one has used up those above it.
        self._again: list[Iterator[RawLine]] = []
        self._row = _Held()
        self._told_at: int | None = None

    def rows(self) -> Iterator[Row]:
        """Yield every good row that is not blank."""
        while True:
            try:
                yield from self._good_rows()
            except RecordError as error:
                self._read_again()
                settle(error, self._on_error)
            except _ToldError:
                self._read_again()
            else:
                return

    def _read_again(self) -> None:
        """Go on with the second line of a bad row: there may be good rows in it."""
        self._again.append(self._row.after_first())
        self._row = _Held()

    def _good_rows(self) -> Iterator[Row]:
        self._row = _Held()
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                reason = f"this row is not CSV: {error}"
                row = self._row
                raise ParseError(self._name, row.start, row.line, reason) from error
            if fields is None:
                return
            row, self._row = self._row, _Held()
            if b"\r\n" in row.data:
                # The parser was fed lines that all end in \n: what is quoted is exact.
                fields = next(csv.reader([row.text()], delimiter=self._delimiter))
            if fields:
                yield Row(fields, row.start, row.end, row.line)

    def _lines(self) -> Iterator[str]:
        """Feed the parser, which asks for lines until a row is whole."""
        limit = self._limits.max_record_bytes
        while True:
            raw = self._next()
            if raw is None:
                return
            row = self._row
            if not row.add(raw):
                # A line of the row was passed over: so is the row.
                raise _ToldError
            if len(row.data) > limit:
                if self._limits.on_oversize == "skip":
                    raise _ToldError
                reason = f"the row holds more than max_record_bytes={limit}"
                raise OversizeError(self._name, row.start, row.line, reason)
            yield self._text(raw) + "\n"

    def _next(self) -> RawLine | None:
        while self._again:
            raw = next(self._again[-1], None)
            if raw is not None:
                return raw
            self._again.pop()
        return next(self._fresh, None)

    def _text(self, raw: RawLine) -> str:
        try:
            return decode_line(self._name, raw)
        except RecordEncodingError as error:
            if raw.start != self._told_at and settle(error, self._on_error):
                return replaced(raw)
            # The line comes again, if it was not the first of its row.
            self._told_at = raw.start
            raise _ToldError from None


class _ToldError(Exception):
    """A row is bad, and whoever wants to know was told."""


class _Held:
    """The lines of one row, as bytes: a million blank lines are a million bytes."""

    __slots__ = "_encoding", "_jumps", "data", "end", "line", "start"

    def __init__(self) -> None:
        self.data = bytearray()
        self.start = self.end = self.line = 0
        self._encoding = ""
        # Where a line does not follow the one before: lines between were passed over.
        self._jumps: dict[int, tuple[int, int]] = {}

    def add(self, raw: RawLine) -> bool:
        """Take one more line; return whether it follows the one before."""
        follows = True
        if not self.line:
            self.start, self.line, self._encoding = raw.start, raw.line, raw.encoding
        else:
            unit, gap = self._bytes(b"\n"), raw.start - self.end
            self.data += b"\r\n" if gap == 2 * unit else b"\n"
            follows = gap in {unit, 2 * unit}
            if not follows:
                self._jumps[len(self.data)] = raw.start, raw.line
        self.data += raw.data
        self.end = raw.end
        return follows

    def text(self) -> str:
        """Return the whole row, in which U+FFFD was wanted for what is not text."""
        return replaced(RawLine(bytes(self.data), self.start, self.end, self.line))

    def after_first(self) -> Iterator[RawLine]:
        """Yield the lines again, but for the first."""
        unit = self._bytes(b"\n")
        place, at, line = 0, self.start, self.line
        while (cut := self.data.find(b"\n", place)) >= 0:
            ended = bytes(self.data[place:cut])
            at += self._bytes(ended) + unit
            line += 1
            place = cut + 1
            at, line = self._jumps.get(place, (at, line))
            end = self.data.find(b"\n", place)
            data = bytes(self.data[place:] if end < 0 else self.data[place:end])
            bare = data if end < 0 else data.removesuffix(b"\r")
            yield RawLine(bare, at, at + self._bytes(bare), line, self._encoding)

    def _bytes(self, data: bytes) -> int:
        """Count the bytes that UTF-8 *data* takes in the source's encoding."""
        if self._encoding == "utf-8":
            return len(data)
        return len(data.decode("utf-8", "replace").encode(self._encoding, "replace"))
