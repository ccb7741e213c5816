"""Bytes to clean text chunks: lazily, in constant memory, with exact byte spans."""

from __future__ import annotations

from ._blocks import FileChunkIterator, reread
from ._clean import Cleaner, clean_chunks
from ._discover import covers, discover
from ._errors import (
    CorruptError,
    EncodingError,
    FieldError,
    LimitError,
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
from ._jsonl import read_jsonl
from ._limits import Limits
from ._lines import read_lines
from ._open import Format, open_records
from ._records import Chunk, Record
from ._split import Splitter, split
from ._text import read_chunks

__all__ = [
    "Chunk",
    "Cleaner",
    "CorruptError",
    "EncodingError",
    "FieldError",
    "FileChunkIterator",
    "Format",
    "LimitError",
    "Limits",
    "NoMatchError",
    "OnError",
    "OpenError",
    "OversizeError",
    "ParseError",
    "ReadError",
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
    "read_jsonl",
    "read_lines",
    "reread",
    "split",
]
