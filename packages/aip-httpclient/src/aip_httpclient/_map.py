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
Window: TypeAlias = Callable[[], int]
Requests: TypeAlias = Iterable[Request] | AsyncIterable[Request]


class _Feed:
    """Begin a call for each request while there is room in the window."""

    def __init__(
        self, requests: Requests, *, send: Send, ordered: bool, window: Window
    ) -> None:
        self._requests = _each(requests)
        self._send = send
        self._ordered = ordered
        self.running: set[asyncio.Task[Outcome]] = set()
        self._window = window
        self._held = 0
        self._room = asyncio.Event()
        # Never more than the window and the end mark: room is taken before.
        self.ready: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()

    async def run(self) -> None:
        """Pull, begin, and mark the end once every call has ended."""
        try:
            while True:
                while self._held >= self._window():
                    self._room.clear()
                    await self._room.wait()
                self._held += 1
                self._begin(await anext(self._requests))
        except StopAsyncIteration:
            pass
        finally:
            if self.running and not self._ordered:
                await asyncio.wait(self.running)
            self.ready.put_nowait(None)

    def yielded(self) -> None:
        """Make room for one more."""
        self._held -= 1
        self._room.set()

    def _begin(self, request: Request) -> None:
        task = asyncio.create_task(self._send(request))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        if self._ordered:
            self.ready.put_nowait(task)
        else:
            task.add_done_callback(self.ready.put_nowait)


async def stream(
    requests: Requests, *, send: Send, ordered: bool, window: Window
) -> AsyncGenerator[Outcome, None]:
    """Yield each outcome; at most ``window()`` calls are begun and not yet yielded.

    Raises:
        Exception: what *requests* itself raises, after the outcomes of all before.
    """
    feed = _Feed(requests, send=send, ordered=ordered, window=window)
    feeding = asyncio.create_task(feed.run())
    try:
        while (task := await feed.ready.get()) is not None:
            outcome = await task
            feed.yielded()
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
