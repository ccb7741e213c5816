"""Iterate in async code: a thread beside the loop, a bounded number ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from itertools import islice
from math import inf
from queue import SimpleQueue
from threading import Thread
from typing import Generic, NamedTuple, TypeVar

from ._limits import at_least
from ._reader import Reader

T = TypeVar("T")

BATCH = 1024
"""Items in a batch of an iterable that has no batches of its own."""
STEP = 256 * 1024
"""Bytes of a file after which a step of the thread ends, before *prefetch* batches."""


class stream(Generic[T]):  # noqa: N801  # used as a function; has batches() as an object
    """Iterate over *items* in async code, without blocking the event loop.

    A thread takes batches from the iterator (a reader's own, a block's worth each) and
    is at most *prefetch* batches ahead. ``async for`` yields items; ``.batches()``
    yields sequences of them and costs less. An error comes where it happened, after the
    items before it. When the consumer stops or is cancelled, the thread's step ends
    first, then *items* is closed, by the thread.
    """

    def __init__(self, items: Iterable[T], *, prefetch: int = 4) -> None:
        if isinstance(items, str | bytes):
            raise TypeError(f"a reader is wanted, or other items, not {items[:40]!r}")
        self._items = items
        self._prefetch = at_least(1, "prefetch", prefetch)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._each()

    async def _each(self) -> AsyncIterator[T]:
        # Closed here: a generator that is merely dropped is closed some time later.
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for item in batch:
                    yield item

    async def batches(self) -> AsyncGenerator[Sequence[T], None]:
        """Yield the items in batches."""
        worker = _Worker(self._items, self._prefetch)
        try:
            step = worker.ask()
            while not (found := await step).ended:
                # Asked for while these are used, so that there is always work to do.
                step = worker.ask()
                for batch in found.batches:
                    yield batch
                del found
            for batch in found.batches:
                yield batch
            if found.error is not None:
                raise found.error
        finally:
            await worker.end()


class _Step(NamedTuple, Generic[T]):
    """What one step of the thread brought."""

    batches: list[Sequence[T]]
    ended: bool
    error: BaseException | None


class _Worker(Generic[T]):
    """A thread that takes a few batches whenever it is asked to.

    Executors do the same for twice the CPU time. It is a daemon: where reading waits
    for a pipe, it may not keep the interpreter from its end.
    """

    def __init__(self, items: Iterable[T], ahead: int) -> None:
        self._items = items
        self._batches = _batches(items)
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[asyncio.Future[_Step[T]] | None] = SimpleQueue()
        self._closed: asyncio.Future[BaseException | None]
        self._closed = self._loop.create_future()
        name = "aip-readers-stream"
        Thread(target=self._work, name=name, daemon=True).start()

    def ask(self) -> asyncio.Future[_Step[T]]:
        """Ask for the next step."""
        step: asyncio.Future[_Step[T]] = self._loop.create_future()
        self._asked.put(step)
        return step

    async def end(self) -> None:
        """Wait for the step that is under way, and for the items to be closed."""
        self._asked.put(None)
        # A second cancellation ends the wait, not the thread's work.
        await asyncio.wait([self._closed])
        error = self._closed.result()
        if error is not None:
            raise error

    def _work(self) -> None:
        while (step := self._asked.get()) is not None:
            if step.cancelled():
                continue
            found = self._step()
            self._tell(step, found)
            del step, found
        self._tell(self._closed, self._close())

    def _step(self) -> _Step[T]:
        found: list[Sequence[T]] = []
        until = self._bytes_read() + STEP
        try:
            for batch in self._batches:
                found.append(batch)
                if len(found) == self._ahead or self._bytes_read() >= until:
                    return _Step(found, ended=False, error=None)
        except BaseException as error:  # noqa: BLE001  # carried to the consumer and raised there
            return _Step(found, ended=True, error=error)
        return _Step(found, ended=True, error=None)

    def _bytes_read(self) -> float:
        """Say how far a file was read; a batch of anything else may be long in coming.

        What is already here would have to wait for it.
        """
        if isinstance(self._items, Reader) and self._items.bytes_total is not None:
            return self._items.bytes_read
        return inf

    def _close(self) -> BaseException | None:
        close = getattr(self._items, "close", None)
        try:
            if close is not None:
                close()
        except BaseException as error:  # noqa: BLE001  # carried to the consumer and raised there
            return error
        return None

    def _tell(self, future: asyncio.Future[T_], value: T_) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(_set, future, value)


T_ = TypeVar("T_")


def _set(future: asyncio.Future[T_], value: T_) -> None:
    if not future.done():
        future.set_result(value)


def _batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    if isinstance(items, Reader):
        return items.batches()
    iterator = iter(items)
    return iter(lambda: list(islice(iterator, BATCH)), [])
