"""Async iteration: the same items, off the loop, bounded, and closed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from aip_readers import EncodingError, read_chunks, read_lines, stream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line {n}\n" for n in range(50_000)))
    return path


async def test_yields_the_same_items(path: Path) -> None:
    lines = [line async for line in stream(read_lines(path))]
    assert lines == list(read_lines(path))


async def test_batches_hold_a_block_each(path: Path) -> None:
    batches = [batch async for batch in stream(read_lines(path)).batches()]
    assert [line for batch in batches for line in batch] == list(read_lines(path))
    assert len(batches) < 20


async def test_an_error_comes_after_the_items_before_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"good\xff")
    seen = []
    pieces = aiter(stream(read_chunks(path)))
    seen.append(await anext(pieces))
    with pytest.raises(EncodingError):
        await anext(pieces)
    assert seen == ["good"]


async def test_the_thread_is_at_most_so_many_batches_ahead() -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for taken in range(100_000):  # noqa: UP028  # the test looks at it
            yield taken

    batches = stream(numbers(), prefetch=2).batches()
    await anext(batches)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert taken < 5 * 1024
    await batches.aclose()


async def test_cancelling_waits_for_the_step_and_closes_the_iterator() -> None:
    entered, release = threading.Event(), threading.Event()
    closed = False

    def slow() -> Iterator[int]:
        nonlocal closed
        try:
            yield from range(1024)
            entered.set()
            release.wait(5)
            yield 1
        finally:
            closed = True

    async def consume() -> None:
        async for _ in stream(slow()).batches():
            pass

    task = asyncio.create_task(consume())
    assert await asyncio.to_thread(entered.wait, 5)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed


async def test_a_consumer_that_stops_finds_the_iterator_closed() -> None:
    closed = False

    def numbers() -> Iterator[int]:
        nonlocal closed
        try:
            yield from range(100_000)
        finally:
            closed = True

    each = aiter(stream(numbers()))
    assert isinstance(each, AsyncGenerator)
    async with aclosing(each):
        async for number in each:
            if number == 7:
                break
    assert closed


async def test_a_pipe_gives_what_is_there_before_more_comes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    batches = stream(read_lines(path)).batches()
    first = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0.01)
    with path.open("wb", buffering=0) as pipe:
        pipe.write(b"line\n" * 10_000)
        assert set(await first) == {"line"}
        pipe.write(b"last\n")
    rest = [line async for batch in batches for line in batch]
    assert rest[-1] == "last"


async def test_a_small_step_is_no_longer_than_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"x" * (1 << 20) + b"\n" + b"y\n" * 10)
    lines = [line async for line in stream(read_lines(path), prefetch=100)]
    assert [len(line) for line in lines] == [1 << 20, *[1] * 10]


async def test_what_closing_raises_is_raised() -> None:
    class Items(list[int]):
        def close(self) -> None:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        assert [item async for item in stream(Items([1, 2]))] == [1, 2]


async def test_what_is_no_iterable_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        await anext(aiter(stream(3)))  # type: ignore[arg-type]  # on purpose


def test_refuses_no_prefetch() -> None:
    with pytest.raises(ValueError, match="prefetch"):
        stream([], prefetch=0)
