"""Hostile archives: cut, padded, damaged and bombs, in all four compressions."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest

from aip_readers import (
    CorruptError,
    FileChunkIterator,
    LimitError,
    Limits,
    ReadError,
    TruncatedError,
    open_records,
)

OK = b"ok\n" * 3000


def zstd(data: bytes) -> bytes:
    module = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
    options = {module.CompressionParameter.checksum_flag: 1}
    return bytes(module.compress(data, options=options))


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


def drain(items: Iterable[Any]) -> tuple[list[Any], ReadError | None]:
    got: list[Any] = []
    try:
        got.extend(items)
    except ReadError as error:
        return got, error
    return got, None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


ENDINGS: dict[str, tuple[Callable[[bytes], bytes], str, type[ReadError] | None]] = {
    "whole": (lambda data: data, "", None),
    "twice": (lambda data: data + data, "", None),
    "padded": (lambda data: data + bytes(999), "", None),
    "padded between": (lambda data: data + bytes(99) + data, "", None),
    "cut by a byte": (lambda data: data[:-1], "ends before the end", TruncatedError),
    "cut by 10": (lambda data: data[:-10], "ends before the end", TruncatedError),
    "cut in the header": (
        lambda data: data + data[:8],
        "ends before the end",
        TruncatedError,
    ),
    "then text": (lambda data: data + b"text", "follow the last", CorruptError),
    "padded, then text": (
        lambda data: data + bytes(9) + b"text",
        "follow the last",
        CorruptError,
    ),
}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_archives(path: Path, pack: str, ending: str) -> None:
    change, reason, kind = ENDINGS[ending]
    path.write_bytes(change(PACKS[pack](OK)))
    blocks, error = drain(FileChunkIterator(path))
    good = b"".join(blocks)
    if kind is None:
        assert error is None
        assert good == OK * (2 if ending in {"twice", "padded between"} else 1)
        return
    assert type(error) is kind
    assert reason in error.reason
    assert error.offset == len(good)
    assert OK.startswith(good)
    if not ending.startswith("cut by"):
        assert good == OK
    records, again = drain(open_records(path, format="lines", on_error="skip"))
    assert str(again) == str(error)
    assert len(records) == good.count(b"\n")


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("how", ["ratio", "total"])
def test_bombs(path: Path, pack: str, how: Literal["ratio", "total"]) -> None:
    path.write_bytes(PACKS[pack](bytes(30_000_000)))
    limits = (
        Limits(max_ratio=100)
        if how == "ratio"
        else Limits(max_bytes=100_000, max_ratio=10**9)
    )
    blocks, error = drain(FileChunkIterator(path, limits=limits))
    given = sum(map(len, blocks))
    assert type(error) is LimitError
    if how == "total":
        assert given == error.offset == 100_000
        assert "max_bytes=100000" in error.reason
    else:
        assert error.offset == given < 20_000_000
        assert "max_ratio=100" in error.reason


@pytest.mark.parametrize("pack", PACKS)
def test_a_flipped_bit_anywhere_gives_good_bytes_then_one_error(
    path: Path, pack: str
) -> None:
    data = OK + b"tail"
    packed = PACKS[pack](data)
    found = 0
    for at in range(0, len(packed), max(1, len(packed) // 40)):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x40]) + packed[at + 1 :])
        blocks, error = drain(FileChunkIterator(path))
        good = b"".join(blocks)
        if error is None:
            # A header field that says nothing about the data (a time, a name), or a
            # first byte that makes of it no archive at all.
            assert good in {data, path.read_bytes()}
            continue
        found += 1
        assert error.offset == len(good)
    assert found
