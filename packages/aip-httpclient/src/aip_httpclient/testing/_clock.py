"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class FakeClock(selectors.DefaultSelector):
    """A selector that never sleeps: when nothing is ready, time jumps.

    Attributes:
        now_s: what the loop's ``time()`` says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, or move the clock on by *timeout*."""
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready or (super().select(None) if timeout is None else [])
        self.now_s += timeout
        return []


class _FakeTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._fake_clock = FakeClock()
        super().__init__(self._fake_clock)

    def time(self) -> float:
        return self._fake_clock.now_s


def run_in_fake_time(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* like ``asyncio.run``, on a clock that starts at 0 and never waits.

    For code whose every wait is a timer: sleeps, timeouts, deadlines. Real sockets
    make the clock jump while their bytes are under way, so keep them out.

    >>> async def nap():
    ...     await asyncio.sleep(3600)
    ...     return asyncio.get_running_loop().time()
    >>> run_in_fake_time(nap())
    3600.0
    """
    with asyncio.Runner(loop_factory=_FakeTimeLoop) as runner:
        return runner.run(main)
