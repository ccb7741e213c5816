"""How long the event loop lets its tasks wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")
TICK_S = 0.005


async def loop_lag(work: Awaitable[T]) -> tuple[T, list[float]]:
    """Await *work*, and note how late a tick of 5 ms came each time meanwhile.

    Returns:
        what *work* returned, and the lateness of every tick in seconds. While the
        loop stands still no tick comes; the next one tells how long that was.
    """
    late: list[float] = []
    ticking = asyncio.create_task(_tick(late))
    try:
        await asyncio.sleep(0)  # the first tick starts before the work does
        value = await work
        await asyncio.sleep(TICK_S)
    finally:
        ticking.cancel()
    return value, late


async def _tick(late: list[float]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        start = clock()
        await asyncio.sleep(TICK_S)
        late.append(clock() - start - TICK_S)
