"""Open any source as records: what a pipeline uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from ._files import STDIN, Path, absolute
from ._limits import Limits
from ._reader import Asked, Reader
from ._records import Record
from ._suffixes import format_of
from ._text import TextReader
from ._types import Cursor, OnError, Wait

Format: TypeAlias = Literal[
    "auto", "text", "lines", "jsonl", "csv", "tsv", "html", "pdf", "parquet"
]


def open_records(
    path: Path,
    *,
    format: Format = "auto",  # noqa: A002  # the word of the command line too
    text_field: str = "text",
    id_field: str | None = None,
    limits: Limits | None = None,
    on_error: OnError = "raise",
    encoding: str = "utf-8",
    start: int | None = None,
    start_line: int = 1,
    cursor: Cursor | None = None,
    wait: Wait | None = None,
) -> Reader[Record]:
    """Open *path* as an iterator and context manager of ``Record``s.

    *path* is a file, a pipe, ``-`` for standard input, or a URL of fsspec. "auto" goes
    by the suffix, looking through a compression's: JSONL, CSV, HTML, PDF and Parquet
    have theirs, standard input is JSONL, anything else is text. *start* and
    *start_line* are the byte and the line of an earlier record or chunk to go on from
    (a *start* of 0 is after an empty first line, None the beginning); a *cursor* says
    the same, knows its file, and leaves out the rest of a line that was truncated.
    To HTML, PDF and Parquet a *start* is nothing. *wait* is called with the file
    descriptor before each read of a pipe or of standard input, and may wait there for
    what comes; where it returns False the source ends, as if its writer had closed it.
    """
    if format not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise ValueError(f"format must be one of {known}, not {format!r}")
    name = absolute(path)
    kind: str = format
    if kind == "auto":
        kind = "jsonl" if name == STDIN else format_of(name)
    asked = Asked(
        limits=limits,
        on_error=on_error,
        encoding=encoding,
        start=start,
        start_line=start_line,
        cursor=cursor,
        text_field=text_field,
        id_field=id_field,
        wait=wait,
    )
    return _OPENERS[kind](path, asked)


# A reader's module is imported when its format is first met: a run over text files
# pays for none of the others.
# ruff: noqa: PLC0415


def _lines(path: Path, asked: Asked) -> Reader[Record]:
    from ._line_readers import LineReader

    return LineReader(path, asked)


def _jsonl(path: Path, asked: Asked) -> Reader[Record]:
    from ._jsonl import JsonlReader

    return JsonlReader(path, asked)


def _csv(path: Path, asked: Asked, delimiter: str = ",") -> Reader[Record]:
    from ._csv import CsvReader

    return CsvReader(path, asked, delimiter)


def _tsv(path: Path, asked: Asked) -> Reader[Record]:
    return _csv(path, asked, "\t")


def _html(path: Path, asked: Asked) -> Reader[Record]:
    from ._html import HtmlReader

    return HtmlReader(path, asked)


def _pdf(path: Path, asked: Asked) -> Reader[Record]:
    from ._pdf import PdfReader

    return PdfReader(path, asked)


def _parquet(path: Path, asked: Asked) -> Reader[Record]:
    from ._parquet import ParquetReader

    return ParquetReader(path, asked)


_OPENERS: dict[str, Callable[[Path, Asked], Reader[Record]]] = {
    "text": TextReader,
    "lines": _lines,
    "jsonl": _jsonl,
    "csv": _csv,
    "tsv": _tsv,
    "html": _html,
    "pdf": _pdf,
    "parquet": _parquet,
}
