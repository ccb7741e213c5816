"""One bound, in bytes, on the text and vectors in flight."""

from __future__ import annotations

import asyncio
from collections import deque


class BudgetClosed(Exception):
    """Tell a waiter that the run is over and nothing more will be admitted."""


class ByteBudget:
    """Admit work while its bytes fit under a bound; first come, first served.

    Something larger than the whole bound is admitted alone, so nothing waits for ever.

    Args:
        max_bytes: the bound.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._closed = False

    @property
    def blocked(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._waiting)

    async def acquire(self, n_bytes: int) -> None:
        """Wait until *n_bytes* fit, then count them as used.

        Raises:
            BudgetClosed: the run ended first.
        """
        if self._closed:
            raise BudgetClosed
        if not self._waiting and self._fits(n_bytes):
            self.used_bytes += n_bytes
            return
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append((n_bytes, admitted))
        await admitted

    def release(self, n_bytes: int) -> None:
        """Give *n_bytes* back and admit whoever now fits."""
        self.used_bytes -= n_bytes
        while self._waiting and self._fits(self._waiting[0][0]):
            wanted, admitted = self._waiting.popleft()
            if not admitted.done():
                self.used_bytes += wanted
                admitted.set_result(None)

    def close(self) -> None:
        """Turn every waiter away, now and later."""
        self._closed = True
        while self._waiting:
            _, admitted = self._waiting.popleft()
            if not admitted.done():
                admitted.set_exception(BudgetClosed())

    def _fits(self, n_bytes: int) -> bool:
        return not self.used_bytes or self.used_bytes + n_bytes <= self.max_bytes
