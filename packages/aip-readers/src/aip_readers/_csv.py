"""CSV as dictionaries, and as records of one column."""

from __future__ import annotations

from itertools import islice

from ._errors import (
    FieldError,
    ParseError,
    ReadError,
    RecordError,
    no_column,
    settle,
)
from ._files import Path
from ._limits import Limits
from ._reader import Asked, Reader
from ._records import Record
from ._rows import Row, RowSource
from ._source import ByteSource
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._types import OnError


class _Table:
    """The rows of one source as (row, dictionary), the header from its beginning.

    A header that is bad, or has not the fields that are *wanted*, is one error, and no
    row is read: each would have the same.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        limits: Limits,
        line: int = 1,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        delimiter: str = ",",
        wanted: Sequence[str] = (),
    ) -> None:
        self._name = source.name
        self._on_error = on_error
        self._source = source
        self._limits = limits
        self._encoding = encoding
        self._delimiter = delimiter
        self._line = line
        self._wanted = wanted
        self._names: list[str] | None = None

    def _rows(self, source: ByteSource, line: int) -> Iterator[Row]:
        raising = self._on_error == "raise"
        rows = RowSource(
            source,
            limits=self._limits,
            line=line,
            on_error="raise" if raising else self._settle,
            encoding=self._encoding,
            delimiter=self._delimiter,
        )
        try:
            yield from rows.rows()
        except RecordError as error:
            if self._names is not None or not raising:
                raise
            raise _in_header(error) from error.__cause__

    def _settle(self, error: ReadError) -> str:
        """Settle an error; one in the header is the last."""
        if self._names is None:
            error = _in_header(error)
        if settle(error, self._on_error):
            return "replace"
        if self._names is None:
            raise _NoHeaderError
        return "skip"

    def _read_header(self) -> None:
        """Read the header where this source was not opened: at the beginning."""
        source = self._source.beginning()
        try:
            for row in islice(self._rows(source, 1), 1):
                self._take_header(row)
        finally:
            source.close()

    def _take_header(self, row: Row) -> None:
        """Let the first row name the fields; it must name those that are wanted."""
        if reason := no_column(row.fields, self._wanted):
            settle(FieldError(self._name, row.start, row.line, reason), self._on_error)
            raise _NoHeaderError
        self._names = _distinct(row.fields)

    def rows(self) -> Iterator[tuple[Row, dict[str, str]]]:
        """Yield every row that has the header's fields."""
        try:
            if self._source.position:
                self._read_header()
            for row in self._rows(self._source, self._line):
                if self._names is None:
                    self._take_header(row)
                elif len(row.fields) == len(self._names):
                    yield row, dict(zip(self._names, row.fields, strict=True))
                else:
                    have, want = len(row.fields), len(self._names)
                    reason = f"the row has {have} fields, the header {want}"
                    error = ParseError(self._name, row.start, row.line, reason)
                    settle(error, self._on_error)
        except _NoHeaderError:
            return


def _distinct(names: Sequence[str]) -> list[str]:
    """Give each name that comes again a number, so that no column hides another.

    >>> _distinct(["id", "text", "text", "text_2", "text"])
    ['id', 'text', 'text_3', 'text_2', 'text_4']
    """
    taken, found = set(names), []
    for at, name in enumerate(names):
        again, number = name, 2
        while again in taken and name in names[:at]:
            again, number = f"{name}_{number}", number + 1
        taken.add(again)
        found.append(again)
    return found


def _in_header(error: ReadError) -> ReadError:
    """Say of an error that it is the header's."""
    reason = f"the header cannot be read: {error.reason}"
    return type(error)(error.source, error.offset, error.line, reason)


class _NoHeaderError(Exception):
    """The header is bad, and whoever wants to know was told."""


class CsvReader(Reader[Record]):
    """The rows of a CSV file as records of one column."""

    format = "csv"

    def __init__(self, path: Path, asked: Asked, delimiter: str = ",") -> None:
        super().__init__(path, self._records, asked)
        self._text_field = asked.text_field
        self._id_field = asked.id_field
        self._delimiter = delimiter

    def _place_after(self, record: Record) -> tuple[int, int]:
        fields = record.text, *record.metadata.values()
        return record.end, record.line + sum(text.count("\n") for text in fields)

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        field, id_field = self._text_field, self._id_field
        table = _Table(
            source,
            limits=self.limits,
            line=self._line,
            on_error=self._on_error,
            encoding=self._encoding,
            delimiter=self._delimiter,
            wanted=(field, id_field or field),
        )
        for row, value in table.rows():
            key = "" if id_field is None else value[id_field]
            text = value.pop(field)
            record = Record(self.source, text, row.start, row.end, row.line, key, value)
            yield (record,)


class read_csv(Reader[dict[str, str]]):  # noqa: N801  # used as a function
    """Yield the rows of a CSV file as dictionaries; the first row names the fields.

    Quoted fields may hold line ends. Holds one row, at most ``limits.max_record_bytes``
    (which also becomes the csv module's own limit of a field, process-wide, if that is
    lower). A bad row is a ``RecordError`` and the rest goes on, with the line after the
    one on which the bad row began; after a bad header there are no rows.
    """

    def __init__(
        self,
        path: Path,
        *,
        delimiter: str = ",",
        limits: Limits | None = None,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        start: int | None = None,
    ) -> None:
        asked = Asked(limits, on_error, encoding, start)
        super().__init__(path, self._batches, asked)
        self._delimiter = delimiter

    def _batches(self, source: ByteSource) -> Iterator[Sequence[dict[str, str]]]:
        table = _Table(
            source,
            limits=self.limits,
            on_error=self._on_error,
            encoding=self._encoding,
            delimiter=self._delimiter,
        )
        for _, value in table.rows():
            yield (value,)

    def records(
        self, *, text_field: str = "text", id_field: str | None = None
    ) -> CsvReader:
        """Yield the rows as ``Record``s of one column, with exact spans."""
        asked = self._asked._replace(text_field=text_field, id_field=id_field)
        return CsvReader(self.path, asked, self._delimiter)
