"""A server's behaviour, without a wire: faults around a piece of work."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Literal, TypeVar

from ._faults import Faults
from ._quota import Quota

T = TypeVar("T")

_TOO_MANY = 429
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate(Generic[T]):
    """What became of one request.

    Args:
        name: the status, or ``reset``, ``reset after``, ``hang``: for counting.
        status: the status to answer, where it is not the work's own.
        text: the body that goes with it.
        headers: the headers that go with it.
        cut: whether the connection is cut instead of an answer.
        done: what the work returned, if it was done.
    """

    name: str
    status: int = 200
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    done: T | None = None


class _Counted(Generic[T]):
    def __init__(self, do: Callable[[], Awaitable[T]], *, key: str, name: str) -> None:
        self.do = do
        self.key = key
        self.name = name


class FaultModel:
    """Decide over each request as `Faults` say; `FaultServer` gives it a wire.

    Attributes:
        faults: may be replaced while the model runs.
        outcomes: requests by name of their `Fate`.
        worked: how often the work was done, by the caller's name for it.
        peak: most requests worked on at once.
        arrived: how many requests came.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.outcomes: Counter[str] = Counter()
        self.worked: Counter[str] = Counter()
        self.peak = 0
        self.arrived = 0
        self._random = Random(faults.seed)  # noqa: S311  # repeats a schedule
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._busy = 0
        self._waiting = 0
        self._freed = asyncio.Condition()
        self._started: float | None = None
        self._quotas: tuple[Faults, list[tuple[bool, Quota]]] | None = None
        self.closing = asyncio.Event()

    async def handle(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        key: str = "",
        name: str = "",
        cost: float = 0.0,
    ) -> Fate[T]:
        """Do *work*, or what the faults make of it.

        Args:
            work: the server's answer.
            key: the idempotency key, if there is one.
            name: under which the work is counted; the key, if empty.
            cost: tokens charged to ``tokens_per_window``.
        """
        self.arrived += 1
        fate: Fate[T] | None = self._refuse(cost)
        if fate is None:
            counted = _Counted(work, key=key, name=name or key)
            fate = await self._enter(counted)
        self.outcomes[fate.name] += 1
        if self.faults.states_limits and fate.status in {_OK, _TOO_MANY}:
            fate.headers.update(self._stated())
        return fate

    def since_s(self) -> float:
        """Seconds since the first request."""
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        return now - self._started

    def _refuse(self, cost: float) -> Fate[T] | None:
        faults, now_s = self.faults, self.since_s()
        for brownout in faults.brownouts:
            if brownout.start_s <= now_s < brownout.end_s:
                hit = brownout.share >= 1.0 or self._random.random() < brownout.share
                if hit and brownout.status is None:
                    return Fate(name="reset", cut=True)
                if hit and brownout.status is not None:
                    name = str(brownout.status)
                    return Fate(name=name, status=brownout.status, text="brownout")
        for by_cost, quota in self._limits():
            wait_s = quota.refused_s(now_s, cost=cost if by_cost else 1.0)
            if wait_s is not None:
                return _too_many(float(max(1, math.ceil(wait_s))))
        if faults.throttle_rate and self._random.random() < faults.throttle_rate:
            return _too_many(faults.retry_after_s)
        return None

    def _stated(self) -> dict[str, str]:
        now_s = self.since_s()
        said: dict[str, str] = {}
        for by_cost, quota in self._limits():
            said |= quota.stated(now_s, kind="tokens" if by_cost else "requests")
        return said

    def _limits(self) -> list[tuple[bool, Quota]]:
        faults = self.faults
        if self._quotas is None or self._quotas[0] is not faults:
            amounts = (
                (False, faults.requests_per_window),
                (True, faults.tokens_per_window),
            )
            made = [
                (by_cost, Quota(a, window_s=faults.window_s, limiter=faults.limiter))
                for by_cost, a in amounts
                if a is not None
            ]
            self._quotas = faults, made
        return self._quotas[1]

    async def _enter(self, work: _Counted[T]) -> Fate[T]:
        faults = self.faults
        # All choices are drawn before the first await: the seed decides, not timing.
        fate, service_s = self._random.random(), self._service_s()
        if fate < faults.reset_rate:
            return Fate(name="reset", cut=True)
        fate -= faults.reset_rate
        if fate < faults.hang_rate:
            await self.closing.wait()
            return Fate(name="hang", cut=True)
        fate -= faults.hang_rate
        if not await self._take():
            return self._no_capacity()
        try:
            await self._serve(service_s)
            return await self._work(work, fate=fate)
        finally:
            await self._give_back()

    def _no_capacity(self) -> Fate[T]:
        status = self.faults.shed_status
        if status == _TOO_MANY:
            return _too_many(self.faults.retry_after_s)
        return Fate(name=str(status), status=status, text="no capacity left")

    async def _work(self, work: _Counted[T], *, fate: float) -> Fate[T]:
        faults = self.faults
        if fate < faults.error_rate:
            status = faults.error_status
            return Fate(name=str(status), status=status, text="a fault, on purpose")
        fate -= faults.error_rate
        done = await self._done(work)
        if fate < faults.reset_after_rate:
            return Fate(name="reset after", cut=True, done=done)
        return Fate(name="200", done=done)

    async def _done(self, work: _Counted[T]) -> T:
        """Do the work, unless its key was seen before."""
        if not (work.key and self.faults.honours_keys):
            self.worked[work.name] += 1
            return await work.do()
        answer: asyncio.Future[T] | None = self._answers.get(work.key)
        if answer is None:
            answer = asyncio.ensure_future(work.do())
            self._answers[work.key] = answer
            self.worked[work.name] += 1
        # Whoever gives up must not take the work from whoever still waits for it.
        return await asyncio.shield(answer)

    def _service_s(self) -> float:
        faults, random = self.faults, self._random
        seconds = faults.latency.draw(random) if faults.latency else 0.0
        if faults.straggler_rate and random.random() < faults.straggler_rate:
            seconds *= faults.straggler_factor
        return seconds

    async def _serve(self, service_s: float) -> None:
        """Take the service time, longer where the crowd makes it so."""
        faults = self.faults
        crowd = 1.0
        if faults.capacity is not None and faults.overload in {"slow", "collapse"}:
            crowd = max(1.0, self._busy / faults.capacity)
        if service_s > 0.0:
            power = 2 if faults.overload == "collapse" else 1
            await asyncio.sleep(service_s * crowd**power)

    async def _take(self) -> bool:
        faults = self.faults
        capacity = faults.capacity
        kind: Literal["wait", "crowd"]
        kind = "wait" if faults.overload in {"shed", "hang"} else "crowd"
        if capacity is not None and kind == "wait" and self._busy >= capacity:
            if faults.overload == "shed" and self._waiting >= faults.queue:
                return False
            self._waiting += 1
            try:
                async with self._freed:
                    await self._freed.wait_for(lambda: self._busy < capacity)
                    self._busy += 1
            finally:
                self._waiting -= 1
        else:
            self._busy += 1
        self.peak = max(self.peak, self._busy)
        return True

    async def _give_back(self) -> None:
        self._busy -= 1
        async with self._freed:
            self._freed.notify()


def _too_many(retry_after_s: float | None) -> Fate[T]:
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    text = "too many requests"
    return Fate(name=str(_TOO_MANY), status=_TOO_MANY, text=text, headers=headers)
