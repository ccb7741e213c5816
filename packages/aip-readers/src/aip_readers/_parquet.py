"""Parquet, by row group; needs the extra ``parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ._decode import safe
from ._errors import (
    CorruptError,
    FieldError,
    MissingExtraError,
    OversizeError,
    RecordEncodingError,
    RecordError,
    no_column,
    settle,
    settle_oversize,
)
from ._files import Path
from ._limits import Limits
from ._reader import Asked, Reader
from ._records import Record
from ._source import ByteSource
from ._types import OnError

BATCH = 256
"""Rows decoded at a time."""


class _Group:
    """One row group: its bytes in the file, and its rows."""

    def __init__(self, file: Any, number: int) -> None:
        meta = file.metadata.row_group(number)
        columns = [meta.column(at) for at in range(meta.num_columns)]
        self.start = min((_first_byte(column) for column in columns), default=4)
        self.end = self.start + sum(each.total_compressed_size for each in columns)
        self.raw_bytes = int(meta.total_byte_size)
        self.n_rows = int(meta.num_rows)
        self._file, self._number = file, number

    def rows(self, max_bytes: int) -> Iterator[tuple[dict[str, Any] | None, bool, int]]:
        """Yield each row, whether it is as it stands in the file, and its bytes.

        A row with bytes that are not text has U+FFFD for them; it is None where they
        are inside a list or a struct. The bytes of what is surely no more than
        *max_bytes* are not counted.
        """
        # As many as are likely to hold no more than one may.
        likely = max_bytes * self.n_rows // max(1, self.raw_bytes)
        size, groups = min(BATCH, max(1, likely)), [self._number]
        for batch in self._file.iter_batches(size, row_groups=groups):
            may_be_long = batch.get_total_buffer_size() > max_bytes
            for value, exact in _decoded(batch):
                yield value, exact, _bytes_in(value) if may_be_long else 0


def _decoded(batch: Any) -> Iterator[tuple[dict[str, Any] | None, bool]]:
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        yield from (_replaced(batch, at) for at in range(batch.num_rows))
        return
    for value in values:
        clean = safe(value)
        yield clean, clean == value


def _bytes_in(value: Any) -> int:
    """Count the bytes of the texts in a value, and eight for each of the rest."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_bytes_in, value.values()))
    return sum(map(_bytes_in, value)) if isinstance(value, list) else 8


def _replaced(batch: Any, at: int) -> tuple[dict[str, Any] | None, bool]:
    """Decode one row cell by cell; Arrow checks no UTF-8 when it reads."""
    row, exact = {}, True
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            row[name] = column[at].as_py()
        except UnicodeDecodeError:
            exact = False
            try:
                row[name] = str(column[at].as_buffer(), "utf-8", "replace")
            except AttributeError:  # a list or a struct
                return None, False
    clean = safe(row)
    return clean, exact and clean == row


def _first_byte(column: Any) -> int:
    pages = column.dictionary_page_offset, column.data_page_offset
    return min(int(page) for page in pages if page)


class _Table:
    """The rows of a file with the group each belongs to."""

    def __init__(
        self,
        source: ByteSource,
        limits: Limits,
        on_error: OnError,
        *,
        fields: Sequence[str] = (),
        rows_before: int = 0,
    ) -> None:
        self._name = source.name
        self._file = source.file
        self._limits = limits
        self._on_error = on_error
        self._fields = fields
        self._before = rows_before

    def rows(self) -> Iterator[tuple[_Group, int, dict[str, Any]]]:
        try:
            import pyarrow as pa  # noqa: PLC0415  # an extra
            from pyarrow import parquet  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise MissingExtraError(self._name, "parquet", "pyarrow") from error
        try:
            file = parquet.ParquetFile(self._file)
            if absent := no_column(file.schema_arrow.names, self._fields):
                lack = FieldError(self._name, None, None, absent)
                settle(lack, self._on_error)
                return
            begun = 0
            for at in range(file.num_row_groups):
                group = _Group(file, at)
                yield from self._rows_of(group, begun)
                begun += group.n_rows
        except (pa.ArrowException, OSError) as error:
            reason = f"this is not Parquet that can be read: {error}"
            raise CorruptError(self._name, None, None, reason) from error

    def _rows_of(
        self, group: _Group, begun: int
    ) -> Iterator[tuple[_Group, int, dict[str, Any]]]:
        """Yield the rows of a group after the first *begun* of the file."""
        if self._before >= begun + group.n_rows or not self._fits(group):
            return
        most = self._limits.max_record_bytes
        for number, row in enumerate(group.rows(most), begun + 1):
            value, exact, n_bytes = row
            if number <= self._before:
                continue
            if n_bytes > most:
                reason = f"row {number} holds more than max_record_bytes={most}"
                error = OversizeError(self._name, group.start, number, reason)
                settle_oversize(error, self._limits.on_oversize, self._on_error)
            elif (exact or self._wanted(group, number)) and value is not None:
                yield group, number, value

    def _wanted(self, group: _Group, number: int) -> bool:
        """Settle a row that is not all text; return whether it is wanted."""
        reason = f"row {number} holds NULs or bytes that are not text"
        error = RecordEncodingError(self._name, group.start, number, reason)
        return settle(error, self._on_error)

    def _fits(self, group: _Group) -> bool:
        """Hold a row group to the ratio, before it is decoded."""
        packed = max(1, group.end - group.start)
        if group.raw_bytes <= max(1 << 20, packed * self._limits.max_ratio):
            return True
        times = f"max_ratio={self._limits.max_ratio:g}"
        reason = f"a row group says it holds more than {times} times its size"
        settle(OversizeError(self._name, group.start, None, reason), self._on_error)
        return False


class ParquetReader(Reader[Record]):
    """The rows of a Parquet file as records of one column.

    The span of each is its row group's; the line counts rows from 1.
    """

    format = "parquet"

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path, self._records, asked.from_the_beginning())
        self._text_field = asked.text_field
        self._id_field = asked.id_field

    def _place_after(self, record: Record) -> tuple[int, int]:
        return 0, record.line

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        fields = self._text_field, self._id_field or self._text_field
        table = _Table(
            source,
            self.limits,
            self._on_error,
            fields=fields,
            rows_before=self._cursor["line"] if self._cursor else 0,
        )
        for group, number, value in table.rows():
            try:
                record = self._record(group, number, value)
            except RecordError as error:
                settle(error, self._on_error)
            else:
                yield (record,)

    def _record(self, group: _Group, number: int, value: dict[str, Any]) -> Record:
        key = ""
        if self._id_field is not None:
            if value[self._id_field] is None:
                reason = f"row {number} has no id in {self._id_field!r}"
                raise FieldError(self.source, group.start, number, reason)
            key = str(value[self._id_field])
        text = value.pop(self._text_field)
        if not isinstance(text, str):
            reason = f"row {number} has no text in {self._text_field!r}"
            raise FieldError(self.source, group.start, number, reason)
        return Record(self.source, text, group.start, group.end, number, key, value)


class read_parquet(Reader[dict[str, Any]]):  # noqa: N801  # used as a function
    """Yield the rows of a Parquet file as dictionaries; needs the extra ``parquet``.

    Holds one row group's pages, and 256 rows, or as many as are likely to hold no more
    than ``limits.max_record_bytes``.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(path, self._batches, Asked(limits, on_error))

    def _batches(self, source: ByteSource) -> Iterator[Sequence[dict[str, Any]]]:
        for _, _, value in _Table(source, self.limits, self._on_error).rows():
            yield (value,)

    def records(
        self, *, text_field: str = "text", id_field: str | None = None
    ) -> ParquetReader:
        """Yield the rows as ``Record``s of one column."""
        asked = self._asked._replace(text_field=text_field, id_field=id_field)
        return ParquetReader(self.path, asked)
