"""Bytes to clean text chunks: lazily, in constant memory, with exact byte spans."""

from __future__ import annotations

from ._blocks import FileChunkIterator, reread
from ._clean import Cleaner, clean_chunks
from ._csv import read_csv
from ._cursor import Cursor
from ._discover import covers, discover
from ._errors import (
    ChangedError,
    CorruptError,
    EncodingError,
    FieldError,
    LimitError,
    MissingExtraError,
    NoMatchError,
    OnError,
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
from ._split import Splitter, split
from ._stream import stream
from ._text import read_chunks

__all__ = [
    "ChangedError",
    "Chunk",
    "Cleaner",
    "CorruptError",
    "Cursor",
    "EncodingError",
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
