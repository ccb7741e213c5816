"""Waiting for threads from the event loop, and telling errors apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from aip_pipeline._errors import PipelineError

P = ParamSpec("P")
T = TypeVar("T")


def settle(future: asyncio.Future[None]) -> None:
    """End a future that may have been cancelled meanwhile."""
    if not future.done():
        future.set_result(None)


async def ended(future: asyncio.Future[T]) -> None:
    """Wait until a thread's work has ended; a cancellation meanwhile is kept for then.

    To leave earlier would be to wait for the thread where the loop stands still, and
    the thread may be waiting for the loop.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    # Else asyncio would print what went wrong after the error that is raised anyway.
    if not future.cancelled():
        future.exception()
    if cancelled is not None:
        raise cancelled


async def joined(future: asyncio.Future[None]) -> None:
    """Wait for a thread's work, without cancelling it."""
    await asyncio.shield(future)


async def off_loop(call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Call what blocks on a thread, and leave only when it has ended.

    A store must not be closed while a thread still uses it.
    """
    working = asyncio.ensure_future(asyncio.to_thread(call, *args, **more))
    try:
        return await asyncio.shield(working)
    finally:
        await ended(working)


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick the error that explains the others: our own before any."""
    ours = group.subgroup(PipelineError)
    found: BaseException = ours or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
