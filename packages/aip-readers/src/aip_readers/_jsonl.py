"""JSON objects, one a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ._errors import FieldError, OnError, ParseError, RecordError, settle
from ._limits import Limits
from ._lines import LineSource, RawLine, decode_line
from ._reader import Reader
from ._records import Record
from ._source import ByteSource, Path

UNSAFE = re.compile("[\0\ud800-\udfff]")


def parse(source: str, raw: RawLine) -> Any:
    """Return the JSON value of one line, or raise ``RecordError``."""
    text = decode_line(source, raw)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = raw.start + len(text[: error.pos].encode())
        reason = f"this line is not JSON: {error.msg.lower()}"
        raise ParseError(source, at, raw.line, reason) from error
    except RecursionError as error:
        reason = "this line is not JSON we can hold: nested too deeply"
        raise ParseError(source, raw.start, raw.line, reason) from error
    except ValueError as error:
        reason = f"this line is not JSON we can hold: {error}"
        raise ParseError(source, raw.start, raw.line, reason) from error


def text_of(source: str, raw: RawLine, value: Any, field: str) -> str:
    r"""Return the text field; escaped NULs and lone surrogates become U+FFFD."""
    if not isinstance(value, dict):
        reason = f"this line is a JSON {type(value).__name__}, not an object"
        raise ParseError(source, raw.start, raw.line, reason)
    text = value.get(field)
    if isinstance(text, str):
        return UNSAFE.sub("\ufffd", text)
    if field in value:
        reason = f"the field {field!r} holds no text but {type(text).__name__}"
    else:
        known = ", ".join(map(repr, list(value)[:8])) or "nothing"
        reason = f"the object has no field {field!r}; it has {known}"
    raise FieldError(source, raw.start, raw.line, reason)


class JsonlReader(Reader[Record]):
    """The objects of a JSONL file as records of their text field."""

    format = "jsonl"

    def __init__(
        self,
        path: Path,
        *,
        text_field: str = "text",
        id_field: str | None = None,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
        start_line: int = 1,
    ) -> None:
        super().__init__(path, self._records, limits=limits, start=start)
        self._text_field = text_field
        self._id_field = id_field
        self._line = start_line
        self._on_error = on_error

    def _records(self, source: ByteSource) -> Iterator[Record]:
        lines = LineSource(source, line=self._line, on_error=self._on_error)
        for raw in lines.lines():
            if not raw.data or raw.data.isspace():
                continue
            try:
                record = self._record(source.name, raw)
            except RecordError as error:
                settle(error, self._on_error)
            else:
                yield record

    def _record(self, name: str, raw: RawLine) -> Record:
        value = parse(name, raw)
        text = text_of(name, raw, value, self._text_field)
        key = str(raw.line)
        if self._id_field is not None:
            if value.get(self._id_field) is None:
                reason = f"the object has no id field {self._id_field!r}"
                raise FieldError(name, raw.start, raw.line, reason)
            key = str(value[self._id_field])
        del value[self._text_field]
        end = raw.start + len(raw.data)
        return Record(name, text, raw.start, end, raw.line, key, value)


class read_jsonl(Reader[Any]):  # noqa: N801  # used as a function; closes as an object
    """Yield the JSON value of every line that is not blank.

    Holds at most ``limits.max_record_bytes`` and its value. A bad line is a
    ``RecordError`` and the rest goes on. ``.records()`` yields the objects' texts with
    their spans.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
    ) -> None:
        super().__init__(path, self._values, limits=limits, start=start)
        self._on_error = on_error

    def _values(self, source: ByteSource) -> Iterator[Any]:
        for raw in LineSource(source, line=1, on_error=self._on_error).lines():
            if not raw.data or raw.data.isspace():
                continue
            try:
                value = parse(source.name, raw)
            except RecordError as error:
                settle(error, self._on_error)
            else:
                yield value

    def records(
        self, *, text_field: str = "text", id_field: str | None = None
    ) -> JsonlReader:
        """Yield the objects as ``Record``s of their text field, with exact spans."""
        return JsonlReader(
            self.source,
            text_field=text_field,
            id_field=id_field,
            limits=self.limits,
            on_error=self._on_error,
            start=self._start,
        )
