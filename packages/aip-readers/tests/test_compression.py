"""Four compressions: all members, and every good byte before damage."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import (
    CorruptError,
    FileChunkIterator,
    LimitError,
    Limits,
    MissingExtraError,
    ReadError,
    TruncatedError,
    open_records,
    read_lines,
    reread,
)

Pack = Callable[[bytes], bytes]
DATA = bytes(random.Random(1).choices(b"abcdef \n", k=600_000))


def zstd_compress(data: bytes) -> bytes:
    zstd = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
    options = {zstd.CompressionParameter.checksum_flag: 1}
    packed: bytes = zstd.compress(data, options=options)
    return packed


PACKS = pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstd_compress]
)


def drain(path: Path, size: int = 65_536) -> tuple[bytes, ReadError | None]:
    out = bytearray()
    try:
        for block in FileChunkIterator(path, size):
            out += block
    except ReadError as error:
        return bytes(out), error
    return bytes(out), None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.bin"


@PACKS
@pytest.mark.parametrize("size", [1000, 65_536, 4 << 20])
def test_reads_all_members_and_zero_padding(path: Path, pack: Pack, size: int) -> None:
    path.write_bytes(pack(DATA) + pack(b"") + b"\0" * 100 + pack(b"two") + b"\0" * 9)
    assert drain(path, size) == (DATA + b"two", None)


@PACKS
@pytest.mark.parametrize("cut", [1, 5, 9, 300, 5000])
def test_a_cut_member_is_an_error(path: Path, pack: Pack, cut: int) -> None:
    packed = pack(b"whole " * 99) + pack(DATA)
    path.write_bytes(packed[:-cut])
    good, error = drain(path)
    assert isinstance(error, TruncatedError)
    assert good == (b"whole " * 99 + DATA)[: len(good)]
    assert error.offset == len(good)


@PACKS
def test_a_flipped_bit_is_an_error_after_the_good_bytes(path: Path, pack: Pack) -> None:
    packed = bytearray(pack(b"whole " * 99) + pack(DATA))
    packed[-len(packed) // 4] ^= 0x10
    path.write_bytes(packed)
    good, error = drain(path)
    assert isinstance(error, CorruptError | TruncatedError)
    assert error.offset == len(good)
    assert good.startswith(b"whole " * 99)


@PACKS
def test_bytes_after_the_last_member_are_an_error(path: Path, pack: Pack) -> None:
    path.write_bytes(pack(b"one") + b"garbage")
    good, error = drain(path)
    assert good == b"one"
    assert isinstance(error, CorruptError)
    assert "follow the last member" in error.reason


@PACKS
def test_a_bomb_is_stopped_by_its_ratio(path: Path, pack: Pack) -> None:
    path.write_bytes(pack(b"\0" * 100_000_000))
    good, error = drain(path)
    assert isinstance(error, LimitError)
    assert len(good) < 40_000_000


@PACKS
def test_rereads_and_resumes_in_compressed_bytes(tmp_path: Path, pack: Pack) -> None:
    text = b"one two\nthree\n" * 5000
    path = tmp_path / "text.txt"
    path.write_bytes(pack(text[:30_000]) + pack(text[30_000:]))
    assert reread(path, 29_990, 30_010) == text[29_990:30_010]
    rest = open_records(path, start=40_000, format="lines")
    assert next(rest).text == text[40_000:].split(b"\n")[0].decode()


def test_what_was_read_with_limits_of_its_own_is_reread_with_them(path: Path) -> None:
    path.write_bytes(gzip.compress(b"0" * 20_000_000 + b"\nlast\n"))
    limits = Limits(max_ratio=2000, max_record_bytes=30_000_000)
    *_, last = read_lines(path, limits=limits).records()
    assert reread(path, last.start, last.end, limits=limits) == b"last"
    with pytest.raises(LimitError, match="max_ratio=250"):
        reread(path, last.start, last.end)


def test_skippable_zstd_frames_are_skipped(path: Path) -> None:
    skip = b"\x53\x2a\x4d\x18\x05\0\0\0hello"
    path.write_bytes(skip + zstd_compress(b"one") + skip + zstd_compress(b"two") + skip)
    assert drain(path) == (b"onetwo", None)


def test_zstd_without_its_extra_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    for name in "compression", "backports", "backports.zstd":
        monkeypatch.setitem(sys.modules, name, None)
    good, error = drain(path)
    assert isinstance(error, MissingExtraError)
    assert "pip install 'aip-readers[zstd]'" in str(error)
    assert not good


@settings(max_examples=150, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=3),
    cut=st.integers(0, 40),
    members=st.lists(st.binary(max_size=400), min_size=1, max_size=3),
)
def test_fast_gzip_gives_the_same_bytes_and_errors(
    flips: list[tuple[int, int]], cut: int, members: list[bytes]
) -> None:
    pytest.importorskip("isal", reason="needs the extra fast")
    packed = bytearray(b"".join(gzip.compress(each * 9, mtime=0) for each in members))
    for at, bits in flips:
        packed[3 + at % (len(packed) - 3)] ^= bits
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(packed[: max(3, len(packed) - cut)])
        fast = drain(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "isal", None)
            slow = drain(path)
    assert fast[0] == slow[0]
    assert str(fast[1]) == str(slow[1])


def test_the_last_good_kilobytes_come_out(path: Path) -> None:
    """The standard library keeps back what it had buffered."""
    packed = gzip.compress(DATA)
    path.write_bytes(packed[: len(packed) // 2])
    good, _ = drain(path)
    reference = zlib.decompressobj(wbits=31).decompress(packed[: len(packed) // 2])
    assert good == reference
