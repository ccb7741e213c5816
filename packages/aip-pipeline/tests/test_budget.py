from __future__ import annotations

import asyncio

import pytest

from aip_pipeline._budget import BudgetClosed, ByteBudget


async def _blocked(task: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_waits_until_bytes_are_released() -> None:
    budget = ByteBudget(100)
    await budget.acquire(80)
    second = asyncio.create_task(budget.acquire(30))
    assert await _blocked(second)
    assert budget.blocked
    budget.release(80)
    await second
    assert budget.used_bytes == 30


async def test_what_is_larger_than_the_bound_is_admitted_alone() -> None:
    budget = ByteBudget(100)
    await budget.acquire(500)
    small = asyncio.create_task(budget.acquire(1))
    assert await _blocked(small)
    budget.release(500)
    await small


async def test_first_come_first_served() -> None:
    budget = ByteBudget(100)
    await budget.acquire(60)
    large = asyncio.create_task(budget.acquire(90))
    assert await _blocked(large)
    small = asyncio.create_task(budget.acquire(10))
    assert await _blocked(small), "a small one must not overtake"
    budget.release(60)
    await asyncio.gather(large, small)
    assert budget.used_bytes == 100


async def test_close_turns_waiters_away() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(1))
    assert await _blocked(waiting)
    budget.close()
    with pytest.raises(BudgetClosed):
        await waiting
    with pytest.raises(BudgetClosed):
        await budget.acquire(1)


async def test_a_cancelled_waiter_takes_no_bytes() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(5))
    assert await _blocked(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    budget.release(10)
    assert budget.used_bytes == 0
    assert not budget.blocked
