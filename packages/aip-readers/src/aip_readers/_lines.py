"""Lines, found in bytes and decoded last."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple

from ._errors import OnError, OversizeError, RecordEncodingError, settle
from ._limits import Limits
from ._reader import Reader
from ._records import Record
from ._source import BLOCK, ByteSource, Path
from ._text import NUL, PLAIN


class RawLine(NamedTuple):
    """The bytes of one line, without its end, and where they are."""

    data: bytes
    start: int
    line: int


class LineSource:
    r"""The lines of one source as bytes; ``\n`` and ``\r\n`` end a line.

    Holds one block, and at most ``max_record_bytes`` of one line.
    """

    def __init__(self, source: ByteSource, *, line: int, on_error: OnError) -> None:
        self.source = source
        self._line = line
        self._at = source.position
        self._on_error = on_error
        self._max = source.limits.max_record_bytes

    def lines(self) -> Iterator[RawLine]:
        """Yield every line that is not too long."""
        carry, passing = bytearray(), False
        while block := self.source.read(BLOCK):
            if not self._at and block.startswith(codecs.BOM_UTF8):
                self._at, block = 3, block[3:]
            *lines, last = block.split(b"\n")
            if lines:
                if passing:
                    self._pass(len(lines.pop(0)) + 1)
                else:
                    lines[0] = bytes(carry) + lines[0]
                carry, passing = bytearray(), False
                yield from self._whole(lines)
            if passing:
                self._at += len(last)
                continue
            carry += last
            if len(carry) > self._max:
                self._too_long()
                self._at += len(carry)
                carry, passing = bytearray(), True
        if carry:
            yield self._trimmed(bytes(carry))

    def _whole(self, lines: list[bytes]) -> Iterator[RawLine]:
        for data in lines:
            if len(data) > self._max:
                self._too_long()
            else:
                yield self._trimmed(data)
            self._pass(len(data) + 1)

    def _trimmed(self, data: bytes) -> RawLine:
        return RawLine(data.removesuffix(b"\r"), self._at, self._line)

    def _pass(self, length: int) -> None:
        self._at += length
        self._line += 1

    def _too_long(self) -> None:
        reason = f"the record holds more than max_record_bytes={self._max}"
        error = OversizeError(self.source.name, self._at, self._line, reason)
        settle(error, self._on_error)


def decode_line(source: str, raw: RawLine) -> str:
    """Return the text of one line, or raise ``RecordEncodingError``."""
    try:
        text = str(raw.data, "utf-8")
    except UnicodeDecodeError as error:
        bad = raw.data[error.start : error.end].hex(" ")
        reason = f"bytes {bad} are not utf-8: {error.reason}"
        at = raw.start + error.start
        raise RecordEncodingError(source, at, raw.line, reason) from error
    if "\0" in text:
        at = raw.start + raw.data.index(b"\0")
        raise RecordEncodingError(source, at, raw.line, NUL)
    return text


class LineReader(Reader[Record]):
    """The lines of a file as records; the key is the line number."""

    format = "lines"

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
        start_line: int = 1,
    ) -> None:
        super().__init__(path, self._records, limits=limits, start=start)
        self._line = start_line
        self._on_error = on_error

    def _records(self, source: ByteSource) -> Iterator[Record]:
        lines = LineSource(source, line=self._line, on_error=self._on_error)
        name = source.name
        for raw in lines.lines():
            try:
                text = decode_line(name, raw)
            except RecordEncodingError as error:
                settle(error, self._on_error)
                continue
            data, start, line = raw
            end = start + len(data)
            yield Record(name, text, start, end, line, str(line), PLAIN)


class read_lines(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    r"""Yield the lines of a file, without their ends (``\n`` or ``\r\n``).

    Holds at most ``limits.max_record_bytes``. A bad line is a ``RecordError`` and the
    rest goes on. ``.records()`` yields the same lines with their spans.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        start: int = 0,
    ) -> None:
        super().__init__(path, self._texts, limits=limits, start=start)
        self._on_error = on_error

    def _texts(self, source: ByteSource) -> Iterator[str]:
        for raw in LineSource(source, line=1, on_error=self._on_error).lines():
            try:
                text = decode_line(source.name, raw)
            except RecordEncodingError as error:
                settle(error, self._on_error)
            else:
                yield text

    def records(self) -> LineReader:
        """Yield the lines as ``Record``s with exact spans."""
        return LineReader(
            self.source,
            limits=self.limits,
            on_error=self._on_error,
            start=self._start,
        )
