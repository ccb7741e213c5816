"""Read every member or frame of a compressed file, and every good byte before damage.

Other readers withhold up to a buffer of good bytes when a member is damaged or cut, or
take a cut member for a whole one. Here the bookkeeping of members is our own, and the
input in which damage shows is decompressed again, a byte at a time.
"""

from __future__ import annotations

import sys
from collections import deque

from ._codecs import Codec, Gunzip, Member
from ._errors import CorruptError, LimitError, TruncatedError
from ._limits import Limits
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._types import Decompressor

INPUT = 32 * 1024
"""Bytes of the file held at once, unless the codec is faster with more."""
OUTPUT = 4
"""Bytes asked for, as a multiple: more than the input usually makes, so that zlib keeps
none of it for another call, which costs a tenth of its speed."""
RECENT = 128
"""Members whose beginnings are remembered, for cursors."""
FREE = 1 << 20
"""Bytes that may come out before the ratio is looked at."""


class Behind:
    """The state of a member's decompressor before its last input.

    What a pipe has instead of going back. A copy where one can be made (zlib), else a
    twin that does the same work one input later.
    """

    def __init__(self, twin: Decompressor) -> None:
        self.twin = twin
        self.data = b""
        self.given = 0

    def feed(self, decompressor: Decompressor, data: bytes, given: int) -> None:
        """Catch up with *decompressor*, which has done all but *data*."""
        if isinstance(decompressor, Gunzip):
            self.twin = decompressor.copy()
        else:
            self._catch_up(self.data)
        self.data, self.given = data, given

    def _catch_up(self, data: bytes) -> None:
        while data or not self.twin.needs_input:
            self.twin.decompress(data, INPUT)
            data = b""


class MemberStream:
    """Decompressed bytes of concatenated members or frames.

    Holds one block of input, one of output, and the decompressor's own window.
    """

    def __init__(
        self,
        source: str,
        codec: Codec,
        read: Callable[[int], bytes],
        *,
        ahead: bytes,
        limits: Limits,
        seek: Callable[[int], object],
        seekable: bool,
        member: Member = Member(0, 0),  # noqa: B008  # immutable
    ) -> None:
        self._source = source
        self._codec = codec
        self._read = read
        self._seek = seek
        self._seekable = seekable
        self._behind: Behind | None = None
        self._limits = limits
        self._input = ahead
        self._taken = member.packed + len(ahead)
        self._base = member
        self.given = member.unpacked
        self.member = member
        self.recent = deque([member], maxlen=RECENT)
        self._output, self._output_at = b"", 0
        self._begin()
        self._fed_at = self._taken

    def read(self, size: int) -> bytes:
        """Return up to *size* decompressed bytes; none at the end."""
        at = self._output_at
        if at == len(self._output):
            self._output, at = b"", 0
            self._output = self._more(max(size, OUTPUT * self._codec.input_bytes))
        self._output_at = min(at + size, len(self._output))
        return self._output[at : at + size]

    def _more(self, size: int) -> bytes:
        while True:
            if self._decompressor.eof and not self._next_member():
                return b""
            if self._decompressor.needs_input and not self._input and not self._fill():
                # The fast decompressor tells less about a cut end than the careful one.
                if self._careful or not self._go_back():
                    raise self._truncated()
                continue
            out = self._step(size)
            if out:
                self._check_ratio(len(out))
                self.given += len(out)
                return out

    def _fill(self) -> bool:
        # What goes bytewise, or may have to, is cheaper in small pieces.
        small = not self._seekable or self._taken < self._careful_until
        self._input = self._read(INPUT if small else self._codec.input_bytes)
        self._taken += len(self._input)
        return bool(self._input)

    def _step(self, size: int) -> bytes:
        decompressor, data = self._decompressor, b""
        if decompressor.needs_input:
            data, self._input = self._input, b""
            if self._taken - len(data) < self._careful_until:
                data, self._input = data[:1], data[1:]
            elif self._behind:
                given = self.given - self.member.unpacked
                self._behind.feed(decompressor, data, given)
            self._fed_at = self._taken - len(self._input) - len(data)
        try:
            return decompressor.decompress(data, size)
        except self._codec.errors as error:
            if self._fed_at < self._careful_until or not self._go_back():
                raise self._corrupt(error) from error
        return b""

    def _go_back(self) -> bool:
        """Decompress this member again, up to what was given; then go bytewise."""
        behind, self._behind = self._behind, None
        if behind is not None:
            self._fall_behind(behind)
            return True
        until = self._taken
        self._seek(self.member.packed)
        again = self._codec.careful()
        missing = self.given - self.member.unpacked
        self._taken, self._input = self.member.packed, b""
        while missing:
            data = b""
            if again.needs_input:
                data = self._read(max(1, min(INPUT, self._fed_at - self._taken)))
                self._taken += len(data)
                if not data:
                    return False
            try:
                missing -= len(again.decompress(data, min(missing, INPUT)))
            except self._codec.errors:
                return False
        self._decompressor, self._careful_until = again, until
        self._careful = True
        return True

    def _fall_behind(self, behind: Behind) -> None:
        """Go back in a pipe: to the decompressor that has not met the last input."""
        self._input = behind.data + self._input
        missing = self.given - self.member.unpacked - behind.given
        while missing:
            data = b""
            if behind.twin.needs_input:
                data, self._input = self._input[:1], self._input[1:]
            missing -= len(behind.twin.decompress(data, min(missing, INPUT)))
        # There is no second way back: the rest of the member goes bytewise.
        self._decompressor, self._careful_until = behind.twin, sys.maxsize
        self._careful = True

    def _next_member(self) -> bool:
        """Begin the next member; padding with zeros may stand before it."""
        self._input = (self._decompressor.unused_data + self._input).lstrip(b"\0")
        while not self._input:
            if not self._fill():
                return False
            self._input = self._input.lstrip(b"\0")
        if not self._codec.may_begin(self._input):
            reason = f"bytes that are not {self._codec.name} follow the last member"
            raise CorruptError(self._source, self.given, None, reason)
        self.member = Member(self._taken - len(self._input), self.given)
        self.recent.append(self.member)
        self._begin()
        return True

    def _begin(self) -> None:
        codec = self._codec
        make = codec.careful if codec.wants_care(self._input) else codec.make
        self._decompressor = make()
        self._careful = make is codec.careful
        self._behind = None if self._seekable else Behind(codec.careful())
        # Input up to here is given a byte at a time, after damage showed in it.
        self._careful_until = 0

    def _check_ratio(self, more: int) -> None:
        given = self.given + more - self._base.unpacked
        used = self._taken - self._base.packed
        if given > FREE and given > used * self._limits.max_ratio:
            times = f"max_ratio={self._limits.max_ratio:g}"
            reason = f"it decompresses to more than {times} times its size"
            raise LimitError(self._source, self.given, None, reason)

    def _truncated(self) -> TruncatedError:
        reason = f"the {self._codec.name} data ends before the end of its last member"
        return TruncatedError(self._source, self.given, None, reason)

    def _corrupt(self, error: Exception) -> CorruptError:
        reason = f"the {self._codec.name} data is corrupt: {error}"
        return CorruptError(self._source, self.given, None, reason)
