"""Concurrency: how many requests may be on the wire."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """Hand out at most `limit` slots, first come, first served.

    Args:
        limit: how many may be taken at once.
    """

    __slots__ = ("_waiting", "limit", "taken")

    def __init__(self, *, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many wait for a slot."""
        return sum(1 for waiter in self._waiting if not waiter.done())

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self.taken >= self.limit or self._waiting:
            return False
        self.taken += 1
        return True

    async def acquire(self) -> None:
        """Take a slot, waiting in line for it."""
        if self.try_acquire():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()  # the slot came together with the cancellation
            raise

    def release(self) -> None:
        """Give a slot back, and wake who may now take one."""
        self.taken -= 1
        while self._waiting and self.taken < self.limit:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self.taken += 1
                waiter.set_result(None)
