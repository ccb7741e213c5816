"""Pieces of text that never cut a code point, with the bytes they came from."""

from __future__ import annotations

from types import MappingProxyType

from ._encodings import LONGEST, decoder, detect, marked
from ._errors import EncodingError, settle
from ._files import Path
from ._limits import Limits, at_least
from ._reader import Asked, Reader
from ._records import Record
from ._source import BLOCK, ByteSource
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ._types import Decode, OnError

PLAIN: Mapping[str, Any] = MappingProxyType({})
_MANY = 32
"""Line ends in a KiB; where there are fewer, dropping them is the faster count."""
AFTER_ERROR = 256
"""Bytes decoded at once after a bad one; twice as many after each good stretch."""
NUL = "NUL is not text: a binary file, or UTF-16 without a byte order mark?"


def find_encoding(
    source: ByteSource, encoding: str, size: int = BLOCK
) -> tuple[str, int, bytes]:
    """Return the encoding, the length of its mark, and what was read to find out.

    A byte order mark decides, whatever the caller named.
    """
    if source.position:
        # The mark stands where this source was not opened: look there.
        head = source.beginning()
        try:
            return find_encoding(head, encoding)[0], 0, b""
        finally:
            head.close()
    data = b""
    wanted = BLOCK if encoding == "detect" else LONGEST
    while len(data) < wanted and (block := source.read(size)):
        data += block
    name, mark = marked(data)
    if not name:
        name = encoding
        if encoding == "detect":
            # The same bytes, whatever the blocks.
            name = detect(data[:wanted], source.name, whole=len(data) < wanted)
    return name, mark, data[mark:]


class TextSource:
    """Decode one source; every good character before damage comes first.

    Holds one block of bytes and its text.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        line: int = 1,
        on_error: OnError = "raise",
        size: int = BLOCK,
        encoding: str = "utf-8",
    ) -> None:
        self._source = source
        self._on_error = on_error
        self._size = size
        self._at = source.position
        self.line = line
        self.encoding, mark, self._data = find_encoding(source, encoding, size)
        self._at += mark

    def take(self) -> tuple[int, bytes]:
        """Return the offset after the mark, and the bytes read to find it."""
        return self._at, self._data

    def records(self) -> Iterator[Record]:
        """Yield contiguous pieces as records; a gap means damage that was skipped."""
        decode = decoder(self.encoding)
        plain = self.encoding == "utf-8"
        metadata = PLAIN if plain else MappingProxyType({"encoding": self.encoding})
        size = self._size
        yield from self._pieces(decode, metadata, final=False)
        while block := self._source.read(size):
            self._data += block
            yield from self._pieces(decode, metadata, final=False)
        yield from self._pieces(decode, metadata, final=True)

    def _pieces(
        self, decode: Decode, metadata: Mapping[str, Any], *, final: bool
    ) -> Iterator[Record]:
        name, data = self._source.name, self._data
        done, window = 0, len(data)
        while done < len(data):
            part = data[done : done + window]
            last = done + len(part) == len(data)
            text, used, error = self._decode(part, decode, final=final and last)
            if text:
                end = self._at + used
                yield Record(name, text, self._at, end, self.line, None, metadata)
                self.line += self._line_ends(text, part[:used])
            self._at += used
            done += used
            if error is not None:
                bad = error.end - error.start
                if self._settle(error):
                    end = self._at + bad
                    text = "\ufffd"
                    yield Record(name, text, self._at, end, self.line, None, metadata)
                self._at += bad
                done += bad
                # Each error costs a copy of what was decoded: where there is one there
                # are more, so less is.
                window = AFTER_ERROR
            elif last:
                break
            else:
                window *= 2
        self._data = data[done:]

    def _decode(
        self, data: bytes, decode: Decode, *, final: bool
    ) -> tuple[str, int, UnicodeDecodeError | None]:
        """Decode up to the first bad byte, which NUL is too."""
        error: UnicodeDecodeError | None = None
        try:
            text, used = decode(data, "strict", final)
        except UnicodeDecodeError as bad:
            error, used = bad, bad.start
            text, _ = decode(data[:used], "strict", True)  # C function
        # Bytes are searched much faster than a text as wide as its widest character.
        if "\0" in (text if self.encoding != "utf-8" or b"\0" in data else ""):
            text = text[: text.index("\0")]
            used = len(text.encode(self.encoding))
            width = len("\0".encode(self.encoding))
            error = UnicodeDecodeError(self.encoding, data, used, used + width, NUL)
        return text, used, error

    def _line_ends(self, text: str, data: bytes) -> int:
        if self.encoding != "utf-8":
            return text.count("\n")
        if data.count(b"\n", 0, 1024) > _MANY:
            return data.count(b"\n")
        # Dropping them goes from one to the next; counting looks at every byte.
        return len(data) - len(data.replace(b"\n", b""))

    def _settle(self, error: UnicodeDecodeError) -> bool:
        """Settle one run of bad bytes; return whether it is wanted as U+FFFD."""
        bad = error.object[error.start : error.end]
        reason = f"bytes {bad.hex(' ')} are not {self.encoding}: {error.reason}"
        if error.reason is NUL:
            reason = NUL
        problem = EncodingError(self._source.name, self._at, self.line, reason)
        problem.__cause__ = error
        return settle(problem, self._on_error)


class TextReader(Reader[Record]):
    """Contiguous pieces of one plain text, with exact spans."""

    format = "text"

    def __init__(self, path: Path, asked: Asked, chunk_size: int = BLOCK) -> None:
        super().__init__(path, self._records, asked)
        self._size = at_least(1, "chunk_size", chunk_size)

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        pieces = TextSource(
            source,
            line=self._line,
            on_error=self._on_error,
            size=self._size,
            encoding=self._encoding,
        )
        for record in pieces.records():
            yield (record,)


class read_chunks(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    """Yield the text of a file in pieces of about *chunk_size* bytes.

    Never cuts a code point. A byte order mark decides the encoding, else it is
    *encoding* ("detect" guesses, with the extra of that name). Raises ``EncodingError``
    at the first byte (or NUL) that is not text, after every good character before it.
    ``.records()`` yields the same pieces with their spans.
    """

    def __init__(
        self,
        path: Path,
        chunk_size: int = BLOCK,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        start: int | None = None,
    ) -> None:
        asked = Asked(limits, on_error, encoding, start)
        super().__init__(path, self._texts, asked)
        self._size = at_least(1, "chunk_size", chunk_size)

    def _texts(self, source: ByteSource) -> Iterator[Sequence[str]]:
        pieces = TextSource(
            source, on_error=self._on_error, size=self._size, encoding=self._encoding
        )
        for record in pieces.records():
            yield (record.text,)

    def records(self) -> TextReader:
        """Yield the pieces as ``Record``s with exact spans."""
        return TextReader(self.path, self._asked, self._size)
