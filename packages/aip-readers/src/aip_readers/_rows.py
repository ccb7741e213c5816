"""CSV rows, with quoted line ends, and the exact bytes of each (RFC 4180)."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from ._errors import OnError, OversizeError, ParseError, RecordError, settle
from ._jsonl import whole_only
from ._limits import Limits
from ._line_readers import decode_line
from ._lines import LineSource, RawLine
from ._source import ByteSource


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
        self._again: deque[RawLine] = deque()
        self._row: list[RawLine] = []

    def rows(self) -> Iterator[Row]:
        """Yield every good row that is not blank."""
        while True:
            try:
                yield from self._good_rows()
            except RecordError as error:
                # What the bad row took along may hold good rows.
                self._again.extendleft(reversed(self._row[1:]))
                self._row = []
                settle(error, self._on_error)
            else:
                return

    def _good_rows(self) -> Iterator[Row]:
        self._row = []
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                first = self._row[0]
                reason = f"this row is not CSV: {error}"
                raise ParseError(self._name, first.start, first.line, reason) from error
            if fields is None:
                return
            row, self._row = self._row, []
            if fields:
                yield Row(fields, row[0].start, row[-1].end, row[0].line)

    def _lines(self) -> Iterator[str]:
        """Feed the parser, which asks for lines until a row is whole."""
        held = 0
        while True:
            raw = self._again.popleft() if self._again else next(self._fresh, None)
            if raw is None:
                return
            held = held + len(raw.data) + 1 if self._row else len(raw.data)
            self._row.append(raw)
            if held > self._limits.max_record_bytes:
                reason = (
                    f"the row holds more than {self._limits.max_record_bytes} bytes"
                )
                first = self._row[0]
                error = OversizeError(self._name, first.start, first.line, reason)
                raise error
            yield decode_line(self._name, raw) + "\n"
