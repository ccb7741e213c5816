"""One queue in front of three controllers: the gate, the rate, the limit."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TypeAlias

from ._crowd import Crowd
from ._errors import ClientClosed
from ._gate import Gate
from ._limit import Limit
from ._pace import Pace

_CLOSED = "the client was closed before the call was sent"

_Waiter: TypeAlias = tuple[asyncio.Future[None], float]
"""Who waits, and what the call costs."""


class Admission:
    """Let calls out, first come first served, when all three controllers agree.

    A slot and a place in the rate are taken together, at the moment of sending: no
    call holds a slot while it is paced, nor a place in the rate while it has no slot.
    Nothing polls: a slot given back, a gate opening or one timer wakes the first.

    Args:
        limit: how many at once.
        pace: how many a second.
        gate: when nobody.

    Attributes:
        crowd: how many at once a server takes that answers 429 to the rest.
        closed: whether nobody is let out any more.
        taken: slots in use.
        queued: calls waiting.
    """

    __slots__ = (
        "_free",
        "_line",
        "_loop",
        "_timer",
        "_timer_at",
        "closed",
        "crowd",
        "gate",
        "limit",
        "pace",
        "queued",
        "taken",
    )

    def __init__(self, *, limit: Limit, pace: Pace, gate: Gate) -> None:
        self.limit = limit
        self.pace = pace
        self.gate = gate
        self.crowd = Crowd()
        self.taken = 0
        self.queued = 0
        self._line: deque[_Waiter] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.closed = False

    @property
    def most(self) -> float:
        """How many may be on the wire now."""
        return min(self.limit.value, self.crowd.most)

    def try_enter(self, now: float, *, cost: float) -> bool:
        """Go now, if nobody waits and nothing forbids it."""
        if self._line or self.gate.shut:
            return False
        if self.taken >= self.limit.value:
            self.limit.full = True
            return False
        if self.taken >= self.crowd.most:
            self.crowd.full = True
            return False
        if self.pace.active:
            if self.pace.wait_s(now) > 0.0:
                return False
            self.pace.spend(now, cost=cost)
        self.taken += 1
        self.gate.sent += 1
        return True

    async def enter(self, *, cost: float, again: bool = False) -> None:
        """Wait in line; *again* puts a call back where it stood: in front.

        Raises:
            ClientClosed: the client was closed first.
        """
        if self.closed:
            raise ClientClosed(_CLOSED)
        line = self._line
        future = self._loop.create_future()
        waiter = future, cost
        if again:
            line.appendleft(waiter)
        else:
            line.append(waiter)
        self.queued += 1
        # Who stands behind others cannot go now: they were looked at when they came.
        if line[0] is waiter:
            self.wake()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # The slot came together with the cancellation.
                now = self._loop.time()
                self.gate.abandon_probe(now, started=now)
                self.leave()
            else:
                self.queued -= 1
                self.wake()  # whoever stood behind may go
            raise

    def leave(self) -> None:
        """Give a slot back."""
        self.taken -= 1
        if self._line:
            self.wake()

    def wake(self) -> None:
        """Let out as many as may go now."""
        line, gate, pace, now = self._line, self.gate, self.pace, self._loop.time()
        while line:
            future, cost = line[0]
            if future.done():
                line.popleft()
                continue
            if gate.shut and not gate.ready(now):
                self._wake_at(gate.until)
                return
            # A probe of an outage waits for neither slot nor rate.
            if not gate.down and (
                (self.taken >= self.most and self._crowded(now))
                or (pace.active and self._paced(now))
            ):
                return
            if gate.shut:
                gate.on_probe(now)
            if pace.active:
                pace.spend(now, cost=cost)
            line.popleft()
            self.taken += 1
            self.queued -= 1
            gate.sent += 1
            future.set_result(None)

    def _crowded(self, now: float) -> bool:
        """Tell whether all slots stay taken; set the alarm if there will be more."""
        limit = self.limit
        if self.taken >= self.crowd.most:
            self.crowd.full = True
            return True
        next_at = limit.advance(now)
        if self.taken < limit.value:
            return False
        limit.full = True
        if next_at is not None:
            self._wake_at(next_at)
        return True

    def _paced(self, now: float) -> bool:
        """Tell whether the rate forbids the next call, and set the alarm if so."""
        wait_s = self.pace.wait_s(now)
        if wait_s > 0.0:
            self._wake_at(now + wait_s)
        return wait_s > 0.0

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at == at:
                return
            self._timer.cancel()
            self._timer = None
        if at == math.inf:
            return  # a probe is under way; its answer wakes the line
        # The clock may be coarse: a hair later rather than a hair too early.
        self._timer = self._loop.call_at(at + 1e-6, self._on_timer)
        self._timer_at = at

    def _on_timer(self) -> None:
        self._timer = None
        self.wake()

    def close(self) -> None:
        """Let nobody out any more, and send home whoever waits."""
        self.closed = self.gate.shut = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for future, _ in self._line:
            if not future.done():
                self.queued -= 1
                future.set_exception(ClientClosed(_CLOSED))
        self._line.clear()
