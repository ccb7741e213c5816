"""Open any source as records: what a pipeline uses."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from ._errors import OnError
from ._jsonl import JsonlReader
from ._limits import Limits
from ._lines import LineReader
from ._source import Path, absolute
from ._suffixes import bare_suffix
from ._text import TextReader

Format: TypeAlias = Literal["auto", "text", "lines", "jsonl"]
Records: TypeAlias = TextReader | LineReader | JsonlReader


def open_records(
    path: Path,
    *,
    format: Format = "auto",  # noqa: A002  # the word of the command line too
    text_field: str = "text",
    id_field: str | None = None,
    limits: Limits | None = None,
    on_error: OnError = "raise",
    start: int = 0,
    start_line: int = 1,
) -> Records:
    """Open *path* as an iterator and context manager of ``Record``s.

    "auto" goes by the suffix (a compression's suffix is looked through): ``.jsonl`` and
    ``.ndjson`` are JSONL, anything else is text. *start* and *start_line* are the byte
    and the line of an earlier record or chunk to go on from.
    """
    if format not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise ValueError(f"format must be one of {known}, not {format!r}")
    if format == "auto":
        jsonl = bare_suffix(absolute(path)) in {".jsonl", ".ndjson"}
        format = "jsonl" if jsonl else "text"  # noqa: A001  # settled here
    if format == "jsonl":
        return JsonlReader(
            path,
            text_field=text_field,
            id_field=id_field,
            limits=limits,
            on_error=on_error,
            start=start,
            start_line=start_line,
        )
    reader = LineReader if format == "lines" else TextReader
    return reader(
        path, limits=limits, on_error=on_error, start=start, start_line=start_line
    )
