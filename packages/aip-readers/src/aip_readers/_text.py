"""Pieces of text that never cut a code point, with the bytes they came from."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ._blocks import positive
from ._errors import EncodingError, OnError, settle
from ._limits import Limits
from ._reader import Reader
from ._records import Record
from ._source import BLOCK, ByteSource, Path

Decode: TypeAlias = Callable[[bytes, str, bool], tuple[str, int]]

# Longest first: the UTF-32-LE mark begins with the UTF-16-LE one.
MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECODERS: dict[str, Decode] = {
    "utf-8": codecs.utf_8_decode,
    "utf-16-le": codecs.utf_16_le_decode,
    "utf-16-be": codecs.utf_16_be_decode,
    "utf-32-le": codecs.utf_32_le_decode,
    "utf-32-be": codecs.utf_32_be_decode,
}
PLAIN: Mapping[str, Any] = MappingProxyType({})
NUL = "NUL is not text: a binary file, or UTF-16 without a byte order mark?"


def encoding_of(head: bytes) -> tuple[str, int]:
    r"""Return the encoding a byte order mark names, else UTF-8, and the mark's length.

    >>> encoding_of(b"\xff\xfea\x00")
    ('utf-16-le', 2)
    """
    for mark, name in MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return "utf-8", 0


class TextSource:
    """Decode one source; every good character before damage comes first.

    Holds one block of bytes and its text.
    """

    def __init__(
        self, source: ByteSource, *, line: int, on_error: OnError, size: int
    ) -> None:
        self._source = source
        self._line = line
        self._on_error = on_error
        self._size = size
        self._data = b""
        self.encoding = "utf-8"

    def records(self) -> Iterator[Record]:
        """Yield contiguous pieces as records; a gap means damage that was skipped."""
        source, at = self._source, self._begin()
        decode = DECODERS[self.encoding]
        plain = self.encoding == "utf-8"
        metadata = PLAIN if plain else MappingProxyType({"encoding": self.encoding})
        name, final = source.name, False
        while not final:
            block = source.read(self._size)
            final = not block
            self._data += block
            while self._data:
                text, used, error = self._decode(decode, final=final)
                if text:
                    end = at + used
                    yield Record(name, text, at, end, self._line, None, metadata)
                    self._line += text.count("\n")
                at += used
                self._data = self._data[used:]
                if error is None:
                    break
                bad = self._report(error, at)
                at += bad
                self._data = self._data[bad:]

    def _begin(self) -> int:
        """Find the encoding at the very beginning; return the first text offset."""
        source = self._source
        if source.position:
            # The mark stands where this source was not opened: look there.
            with_mark = ByteSource(source.name, limits=source.limits)
            try:
                self.encoding, _ = encoding_of(with_mark.read(4))
            finally:
                with_mark.close()
            return source.position
        while len(self._data) < len(codecs.BOM_UTF32_LE):
            block = source.read(self._size)
            if not block:
                break
            self._data += block
        self.encoding, mark = encoding_of(self._data)
        self._data = self._data[mark:]
        return mark

    def _decode(
        self, decode: Decode, *, final: bool
    ) -> tuple[str, int, UnicodeDecodeError | None]:
        """Decode up to the first bad byte, which NUL is too."""
        error: UnicodeDecodeError | None = None
        data = self._data
        try:
            text, used = decode(data, "strict", final)
        except UnicodeDecodeError as bad:
            error, used = bad, bad.start
            text, _ = decode(data[:used], "strict", True)  # C function
        if "\0" in text:
            text = text[: text.index("\0")]
            used = len(text.encode(self.encoding))
            width = len("\0".encode(self.encoding))
            error = UnicodeDecodeError(self.encoding, data, used, used + width, NUL)
        return text, used, error

    def _report(self, error: UnicodeDecodeError, at: int) -> int:
        """Settle one run of bad bytes; return its length."""
        bad = error.object[error.start : error.end]
        reason = f"bytes {bad.hex(' ')} are not {self.encoding}: {error.reason}"
        if error.reason is NUL:
            reason = NUL
        problem = EncodingError(self._source.name, at, self._line, reason)
        problem.__cause__ = error
        settle(problem, self._on_error)
        return len(bad)


class TextReader(Reader[Record]):
    """Contiguous pieces of one plain text, with exact spans."""

    format = "text"

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
        start_line: int = 1,
        chunk_size: int = BLOCK,
    ) -> None:
        super().__init__(path, self._records, limits=limits, start=start)
        self._line = start_line
        self._on_error = on_error
        self._size = positive("chunk_size", chunk_size)

    def _records(self, source: ByteSource) -> Iterator[Record]:
        return TextSource(
            source, line=self._line, on_error=self._on_error, size=self._size
        ).records()


class read_chunks(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    """Yield the text of a file in pieces of about *chunk_size* bytes.

    Never cuts a code point. A byte order mark decides the encoding, else it is UTF-8.
    Raises ``EncodingError`` at the first byte (or NUL) that is not text, after every
    good character before it. ``.records()`` yields the same pieces with their spans.
    """

    def __init__(
        self,
        path: Path,
        chunk_size: int = BLOCK,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
    ) -> None:
        super().__init__(path, self._pieces, limits=limits, start=start)
        self._on_error = on_error
        self._size = positive("chunk_size", chunk_size)

    def _pieces(self, source: ByteSource) -> Iterator[str]:
        pieces = TextSource(source, line=1, on_error=self._on_error, size=self._size)
        for record in pieces.records():
            yield record.text

    def records(self) -> TextReader:
        """Yield the pieces as ``Record``s with exact spans."""
        return TextReader(
            self.source,
            limits=self.limits,
            on_error=self._on_error,
            start=self._start,
            chunk_size=self._size,
        )
