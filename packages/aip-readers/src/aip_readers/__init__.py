"""Bytes to clean text chunks: lazily, in constant memory, with exact byte spans."""

from __future__ import annotations

# Type checkers know this name; importing typing for it would cost as much as the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._blocks import FileChunkIterator, reread
    from ._clean import Cleaner, clean_chunks
    from ._csv import read_csv
    from ._discover import covers, discover
    from ._errors import (
        ChangedError,
        CorruptError,
        EncodingError,
        FieldError,
        LimitError,
        MissingExtraError,
        NoMatchError,
        OpenError,
        OversizeError,
        ParseError,
        ReadError,
        RecordEncodingError,
        RecordError,
        SourceError,
        TruncatedError,
    )
    from ._html import read_html
    from ._jsonl import read_jsonl
    from ._limits import Limits
    from ._line_readers import read_lines
    from ._open import Format, open_records
    from ._parquet import read_parquet
    from ._pdf import read_pdf
    from ._reader import Reader
    from ._records import Chunk, Record
    from ._report import ErrorReport
    from ._split import Splitter, split
    from ._stream import stream
    from ._text import read_chunks
    from ._trace import CleanPiece
    from ._types import Cursor, OnError

__all__ = [
    "ChangedError",
    "Chunk",
    "CleanPiece",
    "Cleaner",
    "CorruptError",
    "Cursor",
    "EncodingError",
    "ErrorReport",
    "FieldError",
    "FileChunkIterator",
    "Format",
    "LimitError",
    "Limits",
    "MissingExtraError",
    "NoMatchError",
    "OnError",
    "OpenError",
    "OversizeError",
    "ParseError",
    "ReadError",
    "Reader",
    "Record",
    "RecordEncodingError",
    "RecordError",
    "SourceError",
    "Splitter",
    "TruncatedError",
    "clean_chunks",
    "covers",
    "discover",
    "open_records",
    "read_chunks",
    "read_csv",
    "read_html",
    "read_jsonl",
    "read_lines",
    "read_parquet",
    "read_pdf",
    "reread",
    "split",
    "stream",
]

# A name's module is imported when the name is first used (PEP 562): whoever reads lines
# pays, in time and memory, for no PDF, HTML or CSV.
_HOMES = {
    "ChangedError": "_errors",
    "Chunk": "_records",
    "CleanPiece": "_trace",
    "Cleaner": "_clean",
    "CorruptError": "_errors",
    "Cursor": "_types",
    "EncodingError": "_errors",
    "ErrorReport": "_report",
    "FieldError": "_errors",
    "FileChunkIterator": "_blocks",
    "Format": "_open",
    "LimitError": "_errors",
    "Limits": "_limits",
    "MissingExtraError": "_errors",
    "NoMatchError": "_errors",
    "OnError": "_types",
    "OpenError": "_errors",
    "OversizeError": "_errors",
    "ParseError": "_errors",
    "ReadError": "_errors",
    "Reader": "_reader",
    "Record": "_records",
    "RecordEncodingError": "_errors",
    "RecordError": "_errors",
    "SourceError": "_errors",
    "Splitter": "_split",
    "TruncatedError": "_errors",
    "clean_chunks": "_clean",
    "covers": "_discover",
    "discover": "_discover",
    "open_records": "_open",
    "read_chunks": "_text",
    "read_csv": "_csv",
    "read_html": "_html",
    "read_jsonl": "_jsonl",
    "read_lines": "_line_readers",
    "read_parquet": "_parquet",
    "read_pdf": "_pdf",
    "reread": "_blocks",
    "split": "_split",
    "stream": "_stream",
}


def __getattr__(name: str) -> object:
    """Import what *name* stands for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  # only when it is needed

    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public, imported or not."""
    return [*globals(), *__all__]
