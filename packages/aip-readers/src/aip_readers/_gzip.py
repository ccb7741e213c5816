"""Read every member of a gzip file, and every good byte before damage.

The format is RFC 1952. ``gzip.open`` withholds up to a buffer of good bytes when a
member is damaged or cut; here each block is decompressed from a copy that is kept until
the block proves good.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ._errors import CorruptError, LimitError, TruncatedError
from ._limits import Limits

MAGIC = b"\x1f\x8b"
INPUT = 64 * 1024
FREE = 1 << 20
"""Bytes that may come out before the ratio is looked at."""


class GzipStream:
    """Decompressed bytes of concatenated gzip members.

    Holds one block of input, one of output, and two zlib states of 40 KiB.
    """

    def __init__(
        self, source: str, read: Callable[[int], bytes], ahead: bytes, *, limits: Limits
    ) -> None:
        self._source = source
        self._read = read
        self._limits = limits
        self._input = ahead
        self._taken = len(ahead)
        self._given = 0
        self._member = zlib.decompressobj(wbits=31)
        self._damage: zlib.error | None = None

    def read(self, size: int) -> bytes:
        """Return up to *size* decompressed bytes; none at the end."""
        while not self._damage:
            if self._member.eof and not self._next_member():
                return b""
            if not self._input and not self._fill():
                reason = "the gzip data ends before the end of its last member"
                raise TruncatedError(self._source, self._given, None, reason)
            out = self._step(size)
            if out:
                self._given += len(out)
                self._check_ratio()
                return out
        reason = f"the gzip data is corrupt: {self._damage}"
        raise CorruptError(self._source, self._given, None, reason) from self._damage

    def _fill(self) -> bool:
        self._input = self._read(INPUT)
        self._taken += len(self._input)
        return bool(self._input)

    def _step(self, size: int) -> bytes:
        spare = self._member.copy()
        try:
            out = self._member.decompress(self._input, size)
        except zlib.error as error:
            self._damage = error
            return self._salvage(spare)
        self._input = self._member.unconsumed_tail
        return out

    def _salvage(self, member: zlib._Decompress) -> bytes:
        """Return what comes out before the byte that is bad."""
        out = bytearray()
        try:
            for at in range(len(self._input)):
                out += member.decompress(self._input[at : at + 1])
        except zlib.error:
            pass
        return bytes(out)

    def _next_member(self) -> bool:
        """Begin the next member; padding with zeros may stand before it."""
        self._input = self._member.unused_data.lstrip(b"\0")
        while len(self._input) < len(MAGIC):
            block = self._read(INPUT)
            if not block:
                break
            self._taken += len(block)
            self._input = (self._input + block).lstrip(b"\0")
        if not self._input:
            return False
        if not self._input.startswith(MAGIC):
            reason = "bytes that are not gzip follow the last gzip member"
            raise CorruptError(self._source, self._given, None, reason)
        self._member = zlib.decompressobj(wbits=31)
        return True

    def _check_ratio(self) -> None:
        used = self._taken - len(self._input)
        if self._given > FREE and self._given > used * self._limits.max_ratio:
            reason = (
                f"it decompresses to more than max_ratio={self._limits.max_ratio:g} "
                "times its size"
            )
            raise LimitError(self._source, self._given, None, reason)
