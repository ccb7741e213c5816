"""Iterate in async code: one thread hop per batch, a bounded number ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Generic, TypeVar

from ._reader import Reader

T = TypeVar("T")

BATCH = 1024
"""Items in a batch of an iterable that has no batches of its own."""


class stream(Generic[T]):  # noqa: N801  # used as a function; has batches() as an object
    """Iterate over *items* in async code, without blocking the event loop.

    A thread takes batches from the iterator (a reader's own, a block's worth each) and
    is at most *prefetch* batches ahead. ``async for`` yields items; ``.batches()``
    yields sequences of them and costs less. An error comes where it happened, after the
    items before it. When the consumer stops or is cancelled, the thread's step ends
    first, then *items* is closed.
    """

    def __init__(self, items: Iterable[T], *, prefetch: int = 2) -> None:
        if prefetch < 1:
            raise ValueError(f"prefetch must be at least 1, not {prefetch!r}")
        self._items = items
        self._prefetch = prefetch

    def __aiter__(self) -> AsyncIterator[T]:
        return self._each()

    async def _each(self) -> AsyncIterator[T]:
        async for batch in self.batches():
            for item in batch:
                yield item

    async def batches(self) -> AsyncIterator[Sequence[T]]:
        """Yield the items in batches."""
        loop = asyncio.get_running_loop()
        # A thread of its own: the default pool may be busy with what waits for us.
        pool = ThreadPoolExecutor(1, thread_name_prefix="aip-readers-stream")
        ready: asyncio.Queue[Sequence[T] | BaseException | None]
        ready = asyncio.Queue(self._prefetch)
        batches = _batches(self._items)
        pump = loop.create_task(self._pump(batches, ready, pool))
        try:
            while (batch := await ready.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump
            pool.shutdown(wait=False)
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    @staticmethod
    async def _pump(
        batches: Iterator[Sequence[T]],
        ready: asyncio.Queue[Sequence[T] | BaseException | None],
        pool: ThreadPoolExecutor,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            step = loop.run_in_executor(pool, _step, batches)
            try:
                found = await asyncio.shield(step)
            except asyncio.CancelledError:
                # The iterator may be closed only when no thread is inside it.
                await asyncio.wait([step])
                raise
            await ready.put(found)
            if found is None or isinstance(found, BaseException):
                return


def _step(batches: Iterator[Sequence[T]]) -> Sequence[T] | BaseException | None:
    try:
        return next(batches, None)
    except Exception as error:  # noqa: BLE001  # carried to the consumer and raised there
        return error


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    if isinstance(items, Reader):
        return items.batches()
    iterator = iter(items)
    return iter(lambda: list(islice(iterator, BATCH)), [])
