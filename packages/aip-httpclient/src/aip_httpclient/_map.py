"""Many calls as a stream: bounded in memory, whatever goes in."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
)
from typing import Any, TypeAlias

from ._request import Done, Failed, Request

Outcome: TypeAlias = Done | Failed
Send: TypeAlias = Callable[[Request], Coroutine[Any, Any, Outcome]]
Requests: TypeAlias = Iterable[Request] | AsyncIterable[Request]


class _Feed:
    """Begin a call for each request while there is room in the window."""

    def __init__(
        self, requests: Requests, *, send: Send, ordered: bool, window: int
    ) -> None:
        self._requests = _each(requests)
        self._send = send
        self._ordered = ordered
        self.running: set[asyncio.Task[Outcome]] = set()
        self.room = asyncio.Semaphore(window)
        # Never more than the window and the end mark: room is taken before.
        self.ready: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()

    async def run(self) -> None:
        """Pull, begin, and mark the end once every call has ended."""
        try:
            while True:
                await self.room.acquire()
                self._begin(await anext(self._requests))
        except StopAsyncIteration:
            pass
        finally:
            if self.running and not self._ordered:
                await asyncio.wait(self.running)
            self.ready.put_nowait(None)

    def _begin(self, request: Request) -> None:
        task = asyncio.create_task(self._send(request))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        if self._ordered:
            self.ready.put_nowait(task)
        else:
            task.add_done_callback(self.ready.put_nowait)


async def stream(
    requests: Requests, *, send: Send, ordered: bool, window: int
) -> AsyncGenerator[Outcome, None]:
    """Yield the outcome of each request; at most *window* are begun and not yielded.

    Raises:
        Exception: what *requests* itself raises, after the outcomes of all before.
    """
    feed = _Feed(requests, send=send, ordered=ordered, window=window)
    feeding = asyncio.create_task(feed.run())
    try:
        while (task := await feed.ready.get()) is not None:
            outcome = await task
            feed.room.release()
            yield outcome
        await feeding
    finally:
        left = [feeding, *feed.running]
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _each(requests: Requests) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
