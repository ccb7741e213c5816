"""A second send for an attempt that is slow, for those who ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from ._recent import Recent
from ._settings import Hedge
from ._wire import Answer, AttemptFailed

Sent: TypeAlias = tuple[Answer, float]
"""An answer, and when the request was sent that it answers."""

Exchange: TypeAlias = Coroutine[Any, Any, Sent]

_SAVED = 10.0


class Hedging:
    """Say when an attempt is slow, and whether there is budget for another.

    Dean and Barroso, "The Tail at Scale" (2013): wait for a high quantile of recent
    answers, and keep what is sent twice to a few per cent.

    Args:
        hedge: what the caller asks for.
    """

    __slots__ = ("_recent", "_share", "_tokens")

    def __init__(self, hedge: Hedge) -> None:
        self._recent = Recent(quantile=hedge.quantile)
        self._share = hedge.budget_ratio
        self._tokens = 1.0

    def on_success(self, rtt_s: float) -> None:
        """Note one good answer: it pays for a share of a second send."""
        self._recent.add(rtt_s)
        self._tokens = min(_SAVED, self._tokens + self._share)

    @property
    def after_s(self) -> float | None:
        """Seconds after which an attempt is slow, or None before that is known."""
        return self._recent.value_s

    @property
    def affordable(self) -> bool:
        """Whether another may be sent twice now."""
        return self._tokens >= 1.0

    def spend(self) -> None:
        """Pay for one."""
        self._tokens -= 1.0


async def race(
    first: Exchange,
    *,
    after_s: float,
    second: Callable[[], asyncio.Task[Sent] | None],
    failed: Callable[[AttemptFailed], None],
) -> Sent:
    """Wait for *first*, and beside it for *second* where *first* is slow.

    The first good answer wins and the other request is cancelled; of two failures
    the first is told to *failed*, the last is raised.

    Args:
        first: the attempt.
        after_s: seconds after which it is slow.
        second: sends once more, or returns None where that must not be now.
        failed: told of a failure while the other is under way.
    """
    running = {asyncio.create_task(first)}
    try:
        pending = running
        while len(running) == 1 and pending:
            _, pending = await asyncio.wait(running, timeout=after_s)
            if pending and (other := second()) is not None:
                running = pending = {*running, other}
        return await _first_good(running - pending, pending, failed=failed)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _first_good(
    done: set[asyncio.Task[Sent]],
    pending: set[asyncio.Task[Sent]],
    *,
    failed: Callable[[AttemptFailed], None],
) -> Sent:
    while True:
        if won := [each for each in done if each.exception() is None]:
            return won[0].result()
        if not pending:
            return done.pop().result()
        for each in done:
            error = each.exception()
            if isinstance(error, AttemptFailed):
                failed(error)
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
