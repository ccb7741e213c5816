"""The decompressed bytes of one source: counted, bounded, with typed errors."""

from __future__ import annotations

from itertools import islice
from types import MethodType

from ._codecs import MAGIC_BYTES, Codec, Member, codec_of
from ._errors import CorruptError, LimitError, OpenError, TruncatedError
from ._files import STDIN, Path, absolute, open_error, open_raw
from ._limits import Limits
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from typing import Any

    from ._members import MemberStream
    from ._types import Cursor, Wait

BLOCK = 64 * 1024
HEAD = 512
"""First bytes that tell one file from another."""

# glibc gives a block above 128 KiB back to the system when it is freed, and faults the
# next one in again page by page, until a larger one was freed once: then it keeps them
# (mallopt(3), M_MMAP_THRESHOLD). A block of text with one emoji in it takes 256 KiB and
# took twice the time. This one is never touched, so it takes no memory.
bytes(1 << 20)


class ByteSource:
    """Read the decompressed bytes of one source, from an offset on.

    Holds one block of the file, and for compressed files one block more.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits,
        start: int | None = None,
        cursor: Cursor | None = None,
        wait: Wait | None = None,
    ) -> None:
        self.name = absolute(path)
        self.path = path
        self.limits = limits
        self.position = 0
        # Whether what is read begins where an earlier span ended, be it at byte 0.
        self.goes_on = start is not None
        self.compression: str | None = None
        self._at = 0
        self._ahead = b""
        self._head = b""
        self._members: MemberStream | None = None
        # Whether more was read than the limit of the whole allows.
        self._is_over = False
        self._direct: FileIO | None = None
        self._file = open_raw(path, wait=wait)
        self.bytes_total = self._file.size
        try:
            self._begin(start or 0, cursor)
        except BaseException:
            self.close()
            raise

    def _begin(self, start: int, cursor: Cursor | None) -> None:
        """Find the compression by the first bytes, whatever the suffix says."""
        member = Member(0, 0)
        while len(self._ahead) < MAGIC_BYTES:
            block = self._raw(HEAD)
            if not block:
                break
            self._ahead += block
        self._head = self._ahead[:HEAD]
        if cursor is not None:
            from ._cursor import verify  # noqa: PLC0415  # most readers have no cursor

            # Before going there: in another file that place means nothing.
            verify(self, cursor)
            member = Member(cursor["packed"], cursor["unpacked"])
        seekable = self._seekable = self._file.seek(self._at)
        codec = codec_of(self._ahead, source=self.name, seekable=seekable)
        if codec is None:
            if start and seekable:
                self._ahead = b""
                self._seek(start)
                self.position = start
        else:
            self._open_members(codec, member)
        while self.position < start:
            if not self.read(min(BLOCK, start - self.position)):
                break

    def _open_members(self, codec: Codec, member: Member) -> None:
        """Begin to decompress: at *member*, if the file can be gone on from there."""
        from ._members import MemberStream  # noqa: PLC0415  # most files are plain

        self.compression = codec.name
        ahead, self._ahead = self._ahead, b""
        if not self._seekable:
            # A pipe is read from its beginning, wherever the cursor's member is.
            member = Member(0, 0)
        elif member.packed:
            self._seek(member.packed)
            ahead = b""
        self.position = member.unpacked
        self._members = MemberStream(
            self.name,
            codec,
            self._raw,
            ahead=ahead,
            limits=self.limits,
            seek=self._seek,
            seekable=self._seekable,
            member=member,
        )

    @property
    def bytes_read(self) -> int:
        """Where in the file reading has come to, compressed where it is."""
        return self._direct.tell() if self._direct else self._at

    @property
    def file(self) -> Any:
        """The file object that is read, for libraries that want one that can seek."""
        return self._file.file

    def beginning(self) -> ByteSource:
        """Open the source once more, for what only its first bytes tell."""
        if not self._seekable or self.name == STDIN:
            # Opened twice, standard input has one position.
            reason = "it is no file that can be gone on from: read it from the start"
            raise OpenError(self.name, None, None, reason)
        return ByteSource(self.path, limits=self.limits)

    def member_before(self, offset: int) -> Member:
        """Return the last known member that begins at or before *offset*."""
        members = self._members.recent if self._members else ()
        known = (member for member in members if member.unpacked <= offset)
        return max(known, default=Member(0, 0))

    def identity(self) -> tuple[int, int, int]:
        """Return size, time of last change (ns) and checksum of the first bytes."""
        from zlib import crc32  # noqa: PLC0415  # only cursors need it

        return *self._file.identity(), crc32(self._head)

    def _raw(self, size: int) -> bytes:
        if self.bytes_total is not None and self._at > self.bytes_total:
            # A file that goes on growing would have no end.
            self._file.check(self._at)
        try:
            block = self._file.read(size)
        except OpenError as error:
            error.offset = self.position
            raise
        self._at += len(block)
        return block

    def _seek(self, offset: int) -> None:
        self._file.seek(offset)
        self._at = offset

    def read(self, size: int = BLOCK) -> bytes:
        """Return up to *size* bytes; none at the end."""
        if self._members is not None:
            block = self._unpacked(self._members, size)
        elif self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            if len(block) < size:
                block += self._raw(size - len(block))
        else:
            block = self._raw(size)
        if not block:
            self._file.check(self._at)
        if self.limits.max_bytes is not None:
            block = self._bounded(block, self.limits.max_bytes)
        self.position += len(block)
        return block

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """Yield the rest in blocks of up to *size* bytes."""
        direct = self._file.direct
        if direct is None or self._members or self.limits.max_bytes is not None:
            return iter(lambda: self.read(size), b"")
        return self._all_direct(direct, size)

    def _all_direct(self, direct: FileIO, size: int) -> Iterator[bytes]:
        """Yield the rest without a step of ours for each block."""
        while self._ahead:
            yield self.read(size)
        self._direct = direct
        # What functools.partial does, which would have to be imported.
        blocks: Iterator[bytes] = iter(MethodType(direct.read, size), b"")
        try:
            yield from islice(blocks, (self.bytes_total or 0) // size + 1)
            if direct.tell() > (self.bytes_total or 0):
                # A file that goes on growing would have no end.
                self._file.check(direct.tell())
            yield from blocks
            self._at = self.position = direct.tell()
        except OSError as error:
            raise open_error(self.name, error, direct.tell()) from error
        self._direct = None
        self._file.check(self._at)

    def _unpacked(self, members: MemberStream, size: int) -> bytes:
        try:
            return members.read(size)
        except (TruncatedError, CorruptError):
            # Perhaps the data is not at fault: someone is writing to the file.
            self._file.check(self._at)
            raise

    def _bounded(self, block: bytes, ceiling: int) -> bytes:
        """Give what the ceiling allows first, then the error."""
        room = ceiling - self.position
        if self._is_over or (block and room <= 0):
            reason = f"the source holds more than max_bytes={ceiling}"
            raise LimitError(self.name, self.position, None, reason)
        self._is_over = len(block) > room
        return block[:room] if self._is_over else block

    def close(self) -> None:
        """Close the file; safe to call again."""
        if self._direct:
            self._at, self._direct = self._direct.tell(), None
        self._file.close()
