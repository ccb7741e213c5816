"""The lines of a source that is not UTF-8: found in bytes, decoded one by one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from ._encodings import decoder
from ._errors import OversizeError, RecordEncodingError, settle
from ._limits import Limits
from ._text import NUL
from ._types import OnError


class WideLine(NamedTuple):
    """One line without its end, and the bytes of the source it is."""

    text: str
    start: int
    end: int
    line: int


class WideLines:
    r"""The lines of one source, with spans in the source's own bytes.

    In UTF-16 and UTF-32 a line end is a unit of two or four bytes, at a whole number of
    units from the beginning; no other encoding that is let in has a code point with the
    byte of ``\n`` in it. Holds one block, and at most ``max_record_bytes`` of one line.
    """

    def __init__(
        self,
        source: str,
        encoding: str,
        *,
        at: int,
        line: int,
        begun: bool,
        within: bool = False,
        limits: Limits,
        on_error: OnError,
    ) -> None:
        self._source = source
        self._encoding = encoding
        self._decode = decoder(encoding)
        self._end = "\n".encode(encoding)
        self._return = "\r".encode(encoding)
        self._at = at
        self._line = line
        self._begun = begun
        # Whether the rest of a line that was truncated comes first.
        self._is_within = within
        # A unit is the least that there is of a line.
        self._max_bytes = max(limits.max_record_bytes, len(self._end))
        self._policy = limits.on_oversize
        self._on_error = on_error

    def lines(self, blocks: Iterable[bytes]) -> Iterator[WideLine]:
        """Yield the good lines of a source that comes in *blocks*."""
        width = len(self._end)
        held, searched, passing = bytearray(), 0, self._is_within
        for block in blocks:
            held += block
            while (end := self._find_end(held, searched)) >= 0:
                data = bytes(held[:end])
                del held[: end + width]  # in constant time: what is left stays in place
                searched = 0
                if not passing:
                    yield from self._whole(data)
                self._at += width + (len(data) if passing else 0)
                self._line += 1
                passing = False
            if not passing and self._is_too_long(held):
                held, passing = yield from self._too_long(held)
            if passing:
                whole = len(held) - len(held) % width
                self._at += whole
                del held[:whole]
            searched = len(held) - len(held) % width
        if held and not passing and self._is_too_long(held, ended=False):
            held, passing = yield from self._too_long(held, ended=False)
        if held and not passing:
            yield from self._good(bytes(held))

    def _find_end(self, held: bytearray, searched: int) -> int:
        at = held.find(self._end, searched)
        while at % len(self._end) and at >= 0:
            at = held.find(self._end, at + 1)
        return at

    def _is_too_long(self, held: bytearray, *, ended: bool = True) -> bool:
        # A part of a unit may be a part of the line's end, and so may a return.
        size = len(held) - len(held) % len(self._end)
        if ended and held.endswith(self._return, 0, size):
            size -= len(self._return)
        return size > self._max_bytes

    def _whole(self, data: bytes) -> Iterator[WideLine]:
        """Yield one line whose end was found, or what the policy leaves of it."""
        bare = data.removesuffix(self._return)
        if not self._begun and not bare:
            # The end of the line on which an earlier span ended.
            self._begun = True
            self._at += len(data)
            return
        self._begun = True
        if len(bare) > self._max_bytes:
            held, passing = yield from self._too_long(bytearray(data))
            if passing:
                self._at += len(held)
                return
            data = bytes(held)
            bare = data.removesuffix(self._return)
        yield from self._good(bare)
        self._at += len(data)

    def _too_long(
        self, held: bytearray, *, ended: bool = True
    ) -> Generator[WideLine, None, tuple[bytearray, bool]]:
        """Apply the policy; return what is left of the line, and whether to drop it."""
        self._begun = True
        if self._policy == "error":
            reason = f"the record holds more than max_record_bytes={self._max_bytes}"
            error = OversizeError(self._source, self._at, self._line, reason)
            settle(error, self._on_error)
        elif self._policy != "skip":
            while self._is_too_long(held, ended=ended):
                piece = self._piece(held)
                yield from self._good(piece)
                self._at += len(piece)
                del held[: len(piece)]
                if self._policy == "truncate":
                    return held, True
            return held, False
        return held, True

    def _piece(self, held: bytearray) -> bytes:
        """Return the beginning of a line, cut between code points if it has any."""
        data = bytes(held[: self._max_bytes])
        try:
            used = self._decode(data, "strict", False)[1]  # C function
        except UnicodeDecodeError:
            used = 0
        width = len(self._end)
        return bytes(held[: used or max(width, len(data) - len(data) % width)])

    def _good(self, data: bytes) -> Iterator[WideLine]:
        text = self._text(data)
        if text is not None:
            yield WideLine(text, self._at, self._at + len(data), self._line)

    def _text(self, data: bytes) -> str | None:
        """Decode one line; None where it is bad and is passed over."""
        try:
            text = self._decode(data, "strict", True)[0]  # C function
        except UnicodeDecodeError as error:
            bad = data[error.start : error.end].hex(" ")
            reason = f"bytes {bad} are not {self._encoding}: {error.reason}"
            at = error.start
        else:
            if "\0" not in text:
                return text
            at, reason = len(text[: text.index("\0")].encode(self._encoding)), NUL
        problem = RecordEncodingError(self._source, self._at + at, self._line, reason)
        if not settle(problem, self._on_error):
            return None
        return data.decode(self._encoding, "replace").replace("\0", "\ufffd")
