"""JSON objects, one a line."""

from __future__ import annotations

from itertools import repeat

from ._decode import ESCAPED, fast_loads, parse, parse_replaced
from ._errors import (
    FieldError,
    ParseError,
    RecordEncodingError,
    RecordError,
    listed,
    settle,
)
from ._files import Path
from ._limits import Limits
from ._line_readers import make_records
from ._lines import LineBatch, LineSource, RawLine
from ._reader import Asked, Reader
from ._records import Record
from ._source import ByteSource
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ._types import Loads, OnError

SIZE = 32 * 1024
"""Bytes read at a time: of larger blocks' values, which are of all sizes, the allocator
keeps several times as many as there are at any moment."""
MANY = 1 << 20
"""Bytes of which no copy is made to count something in them."""


def _values(
    batch: LineBatch, source: str, on_error: OnError, max_depth: int
) -> Iterator[tuple[RawLine, Any]]:
    """Decode the lines of a batch with care, one by one."""
    for raw in batch.raw_lines():
        if not raw.data or raw.data.isspace():
            continue
        try:
            value = parse(source, raw, max_depth=max_depth)
        except RecordError as error:
            if not settle(error, on_error) or not isinstance(
                error, RecordEncodingError
            ):
                continue
        else:
            yield raw, value
            continue
        try:
            value = parse_replaced(source, raw, max_depth=max_depth)
        except RecordError as error:
            settle(error, on_error)
        else:
            yield raw, value


def _all_at_once(batch: LineBatch, loads: Loads, max_depth: int) -> list[Any] | None:
    """Decode a batch without a Python step per line, or say that it needs care."""
    data = batch.data
    # A test of one byte runs at memory speed; the other is rarely needed. No decoder
    # takes a raw NUL, in a string or beside one.
    if b"\\" in data and ESCAPED.search(data):
        return None
    # A blank line is no JSON, and the last is not among what the decoder is given.
    if data[-1:] in {b"", b"\n"} or _may_be_deep(data, max_depth):
        return None
    try:
        values = loads(data)
    except (ValueError, RecursionError):
        return None
    batch.count = len(values)
    return values


def _may_be_deep(data: bytes, max_depth: int) -> bool:
    """Tell whether some line may nest more deeply; never wrong when it says no."""
    if _openers(data) <= max_depth:
        return False
    return any(
        len(line) > 2 * max_depth and _openers(line) > max_depth
        for line in data.split(b"\n")
    )


def _openers(data: bytes) -> int:
    """Count what opens an array or an object, or looks like it within a string."""
    if len(data) > MANY:
        return data.count(b"{") + data.count(b"[")
    # Six times as fast as count, which looks at each byte; but it holds a copy.
    rest = len(data.replace(b"{", b"")) + len(data.replace(b"[", b""))
    return 2 * len(data) - rest


class JsonlReader(Reader[Record]):
    """The objects of a JSONL file as records of their text field."""

    format = "jsonl"

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path, self._records, asked)
        self._text_field = asked.text_field
        self._id_field = asked.id_field

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        loads = fast_loads()
        depth = self.limits.max_depth
        lines = LineSource(
            source,
            limits=whole_only(self.limits),
            line=self._line,
            on_error=self._on_error,
            encoding=self._encoding,
            size=SIZE,
        )
        for batch in lines.batches():
            made = None
            if batch.spans is None and (got := _all_at_once(batch, loads, depth)):
                made = self._together(batch, got)
            if made is not None:
                yield made
                continue
            for raw, value in _values(batch, self.source, self._on_error, depth):
                try:
                    record = self._record(raw, value)
                except RecordError as error:
                    settle(error, self._on_error)
                else:
                    yield (record,)

    def _together(self, batch: LineBatch, values: list[Any]) -> list[Record] | None:
        """Make the records of a block; None where one of them needs a closer look."""
        field, id_field = self._text_field, self._id_field
        try:
            texts = [value.pop(field) for value in values]
            ids = None if id_field is None else [value[id_field] for value in values]
        except (KeyError, AttributeError, TypeError):
            return None
        if set(map(type, texts)) != {str} or (ids and None in ids):
            return None
        return make_records(
            batch,
            self.source,
            texts,
            keys=repeat("") if ids is None else map(str, ids),
            metadata=values,
        )

    def _record(self, raw: RawLine, value: Any) -> Record:
        text = self._text_of(raw, value)
        key = ""
        if self._id_field is not None:
            if value.get(self._id_field) is None:
                reason = f"the object has no id field {self._id_field!r}"
                raise FieldError(self.source, raw.start, raw.line, reason)
            key = str(value[self._id_field])
        del value[self._text_field]
        return Record(self.source, text, raw.start, raw.end, raw.line, key, value)

    def _text_of(self, raw: RawLine, value: Any) -> str:
        if not isinstance(value, dict):
            reason = f"this line is a JSON {type(value).__name__}, not an object"
            raise ParseError(self.source, raw.start, raw.line, reason)
        field = self._text_field
        text = value.get(field)
        if isinstance(text, str):
            return text
        if field in value:
            reason = f"the field {field!r} holds no text but {type(text).__name__}"
        else:
            reason = f"the object has no field {field!r}; it has {listed(value)}"
        raise FieldError(self.source, raw.start, raw.line, reason)


def whole_only(limits: Limits) -> Limits:
    """Return *limits*, unless they would cut a record that only makes sense whole."""
    if limits.on_oversize in {"truncate", "split"}:
        raise ValueError(
            f"on_oversize={limits.on_oversize!r} cuts lines; this format takes records "
            "whole: use 'error' or 'skip'"
        )
    return limits


class read_jsonl(Reader["Any"]):  # noqa: N801  # used as a function; closes as an object
    """Yield the JSON value of every line that is not blank.

    Holds at most ``limits.max_record_bytes`` and its value. A bad line is a
    ``RecordError`` and the rest goes on. With the extra ``fast`` orjson decodes (whole
    numbers beyond 64 bits come as floats then). ``.records()`` yields the objects'
    texts with their spans.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        start: int | None = None,
    ) -> None:
        asked = Asked(limits, on_error, encoding, start)
        super().__init__(path, self._batches, asked)

    def _batches(self, source: ByteSource) -> Iterator[Sequence[Any]]:
        loads = fast_loads()
        depth = self.limits.max_depth
        lines = LineSource(
            source,
            limits=whole_only(self.limits),
            on_error=self._on_error,
            encoding=self._encoding,
            size=SIZE,
        )
        for batch in lines.batches():
            got = _all_at_once(batch, loads, depth)
            if got is not None:
                yield got
                # Let go of these values before the next are made.
                del got
                continue
            for _, value in _values(batch, self.source, self._on_error, depth):
                yield (value,)

    def records(
        self, *, text_field: str = "text", id_field: str | None = None
    ) -> JsonlReader:
        """Yield the objects as ``Record``s of their text field, with exact spans."""
        asked = self._asked._replace(text_field=text_field, id_field=id_field)
        return JsonlReader(self.path, asked)
