"""The four compressions, by their first bytes, behind one decompressor's shape."""

from __future__ import annotations

from ._errors import MissingExtraError
from ._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._types import Decompressor

MAGIC_BYTES = 10
"""How many first bytes tell the compression."""
XZ_MEMORY = 128 << 20
"""An xz file whose dictionary needs more than this is refused (``xz -9`` needs 65)."""


_GZIP = b"\x1f\x8b\x08"
_BZ2 = b"BZh"
_XZ = b"\xfd7zXZ\0"
# A frame, or any of the sixteen frames that are there to be skipped.
_ZSTD = (
    b"\x28\xb5\x2f\xfd",
    *(bytes((kind,)) + b"\x2a\x4d\x18" for kind in range(0x50, 0x60)),
)


class Member(NamedTuple):
    """Where a member begins: in the file, and in what comes out."""

    packed: int
    unpacked: int


class Codec(NamedTuple):
    """A compression: its name, its decompressor, the errors of damaged data.

    ``careful`` makes the one that says exactly where the damage is; ``input_bytes`` is
    how much it is given at once.
    """

    name: str
    magic: tuple[bytes, ...]
    make: Callable[[], Decompressor]
    careful: Callable[[], Decompressor]
    errors: tuple[type[Exception], ...]
    input_bytes: int = 32 * 1024

    def may_begin(self, data: bytes) -> bool:
        """Tell whether *data*, however short, may be the beginning of a member."""
        return any(data[: len(magic)] == magic[: len(data)] for magic in self.magic)

    def wants_care(self, head: bytes) -> bool:
        """Tell whether the fast decompressor is too lenient for this member."""
        return self.name == "gzip" and (len(head) <= 3 or head[3] & _ODD_GZIP_FLAGS > 0)  # noqa: PLR2004  # the flags


# Header checksum and reserved flags (RFC 1952, 2.3.1), on which isal is silent.
_ODD_GZIP_FLAGS = 0xE2


class Gunzip:
    """zlib in the shape of the other decompressors (RFC 1952)."""

    __slots__ = "_zlib", "eof", "needs_input"

    def __init__(self) -> None:
        import zlib  # noqa: PLC0415  # most sources need none of it

        self._zlib = zlib.decompressobj(wbits=31)
        self.eof = False
        self.needs_input = True

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        inflate = self._zlib
        tail = inflate.unconsumed_tail
        out = inflate.decompress(tail + data if tail else data, max_length)
        self.eof = inflate.eof
        # A full answer may mean that zlib still holds some back.
        self.needs_input = len(out) < max_length and not inflate.unconsumed_tail
        return out

    def copy(self) -> Gunzip:
        """Return a second decompressor in the same state."""
        twin = Gunzip.__new__(Gunzip)
        twin._zlib = self._zlib.copy()  # noqa: SLF001
        twin.eof, twin.needs_input = self.eof, self.needs_input
        return twin


def codec_of(head: bytes, *, source: str, seekable: bool) -> Codec | None:
    """Return the compression that the first bytes name, or None."""
    if head.startswith(_GZIP):
        return _gzip(seekable=seekable)
    if head.startswith(_BZ2) and head[4:10] in {b"1AY&SY", b"\x17rE8P\x90"}:
        return _bz2()
    if head.startswith(_XZ):
        return _xz()
    if head.startswith(_ZSTD):
        return _zstd(source)
    return None


def _gzip(*, seekable: bool) -> Codec:
    import zlib  # noqa: PLC0415  # most sources need none of it

    make: Callable[[], Decompressor] = Gunzip
    errors: tuple[type[Exception], ...] = (zlib.error,)
    # Damage in a pipe is found with copies of the state, which isal cannot make.
    if seekable:
        try:
            from isal import igzip_lib  # noqa: PLC0415  # an extra, where it is used
        except ImportError:
            pass
        else:
            flag = igzip_lib.DECOMP_GZIP
            make = lambda: igzip_lib.IgzipDecompressor(flag)  # noqa: E731
            # The stub takes the class for an instance; absent, it is Any.
            isal_error: Any = igzip_lib.error
            errors = (zlib.error, isal_error)
    # Both are slow near the ends of their buffers: a twentieth faster than by 32 KiB.
    return Codec("gzip", (_GZIP,), make, Gunzip, errors, input_bytes=128 * 1024)


def _bz2() -> Codec:
    import bz2  # noqa: PLC0415  # most sources need none of it

    make = bz2.BZ2Decompressor
    errors = OSError, ValueError
    return Codec(name="bz2", magic=(_BZ2,), make=make, careful=make, errors=errors)


def _xz() -> Codec:
    import lzma  # noqa: PLC0415  # most sources need none of it

    def make() -> Decompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)

    errors = (lzma.LZMAError,)
    return Codec(name="xz", magic=(_XZ,), make=make, careful=make, errors=errors)


def _zstd(source: str) -> Codec:
    try:
        from compression import zstd  # noqa: PLC0415  # Python 3.14
    except ImportError:
        try:
            from backports import zstd  # noqa: PLC0415  # an extra, where it is used
        except ImportError as error:
            raise MissingExtraError(source, "zstd", "backports.zstd") from error
    make = zstd.ZstdDecompressor
    errors = (zstd.ZstdError,)
    return Codec(name="zstd", magic=_ZSTD, make=make, careful=make, errors=errors)
