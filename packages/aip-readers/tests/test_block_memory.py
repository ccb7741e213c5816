from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from aip_readers import (
    FileChunkIterator,
    read_chunks,
    read_lines,
    reread,
)

Blocks = type[FileChunkIterator] | type[read_chunks]


def peak_of(reader: Blocks, path: Path) -> int:
    tracemalloc.start()
    try:
        with reader(path, chunk_size=1024) as blocks:
            for _ in blocks:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1_000_000, 8_000_000])
@pytest.mark.parametrize("reader", [FileChunkIterator, read_chunks])
def test_small_blocks_take_little_memory_at_any_file_size(
    tmp_path: Path, size: int, reader: Blocks
) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * size)
    peak_of(reader, path)  # once before: what Python itself caches
    assert peak_of(reader, path) < 16_000


def test_every_block_but_the_last_is_full(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(bytes(range(256)) * 10)
    for chunk_size in (1, 63, 64, 65, 1000, 3000):
        with FileChunkIterator(path, chunk_size=chunk_size) as blocks:
            sizes = [len(block) for block in blocks]
        assert set(sizes[:-1]) <= {chunk_size}
        assert sum(sizes) == 2560


@pytest.mark.parametrize(
    "read",
    [
        lambda path: list(read_lines(path)),
        lambda path: reread(path, 0, 100_000),
    ],
)
def test_a_record_in_short_blocks_takes_little_more_than_its_bytes(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "members"
    path.write_bytes(gzip.compress(b"ab") * 50_000)
    read(path)  # once before: what Python itself caches
    tracemalloc.start()
    try:
        read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # as blocks of two bytes these are 2 MB more
