"""One logical call: from the queue to an answer or a precise failure."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_random_exponential

from ._classify import SAFE_METHODS, passing, turned_away, untouched
from ._errors import (
    Attempt,
    CallError,
    DeadlineExceeded,
    Facts,
    QueueTimeout,
)
from ._leaf import leaf_of
from ._pace import Pace
from ._reason import EXCERPT_BYTES, reason_in
from ._response import Response
from ._retry_after import retry_after_s
from ._secrets import Redactor, shown
from ._settings import Retry, StopStrategy, WaitStrategy
from ._slots import Slots
from ._stats import Tally
from ._wire import AttemptFailed, Parcel, Wire

_HISTORY = 32
_JITTER = 0.1


@dataclass(slots=True, kw_only=True)
class Engine:
    """What all calls of one client share."""

    wire: Wire
    slots: Slots
    pace: Pace | None
    retry: Retry
    redact: Redactor
    tally: Tally
    jitter: random.Random

    @property
    def wait(self) -> WaitStrategy:
        """The backoff: the user's, or full jitter."""
        retry = self.retry
        default = wait_random_exponential(multiplier=retry.base_s, max=retry.cap_s)
        return retry.wait or default

    @property
    def stop(self) -> StopStrategy:
        """When to stop: the user's word, or a number of attempts."""
        return self.retry.stop or stop_after_attempt(self.retry.attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one call may take."""

    cost: float
    may_repeat: bool
    deadline_s: float | None
    attempt_timeout_s: float
    queue_timeout_s: float | None


class Call:
    """Carry one request through the queue, the wire and the repeats."""

    def __init__(self, parcel: Parcel, *, terms: Terms, engine: Engine) -> None:
        self._parcel = parcel
        self._terms = terms
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._first_sent: float | None = None
        self._sent = 0
        self._turned_away = 0
        self._waited_s = 0.0
        self._requeued_s = 0.0
        self._failure: AttemptFailed | None = None
        self._history: deque[Attempt] = deque(maxlen=_HISTORY)
        self._repeatable = terms.may_repeat or parcel.method in SAFE_METHODS

    async def run(self) -> Response:
        """Send until there is an answer.

        Raises:
            CallError: there is none; the leaf says why.
        """
        self._engine.tally.calls += 1
        try:
            try:
                return await self._executed()
            except AttemptFailed as failure:
                if not self._may_repeat(failure):
                    raise
                return await self._repeat(failure)
        except AttemptFailed as failure:
            self._engine.tally.failed += 1
            raise self._error(failure) from failure.__cause__
        except CallError:
            self._engine.tally.failed += 1
            raise

    async def _repeat(self, first: AttemptFailed) -> Response:
        """Let tenacity take over; its first attempt is the failure we have."""
        failures = [first]

        async def attempt() -> Response:
            if failures:
                raise failures.pop()
            return await self._executed()

        engine = self._engine
        retrying = AsyncRetrying(
            sleep=self._back_off,
            stop=engine.stop,
            wait=self._backoff_s,
            retry=retry_if_exception(self._may_repeat),
            reraise=True,
        )
        return await retrying(attempt)

    async def _executed(self) -> Response:
        """Send until the server takes the request in."""
        while True:
            await self._admission()
            try:
                return await self._send()
            except AttemptFailed as failure:
                if not turned_away(failure):
                    raise
                refusal = failure
            finally:
                self._engine.slots.release()
            await self._wait_turned_away(refusal)

    async def _admission(self) -> None:
        """Pace first, take a slot after."""
        engine, started = self._engine, self._loop.time()
        limit_s = self._terms.queue_timeout_s if self._first_sent is None else None
        try:
            async with asyncio.timeout(limit_s):
                if engine.pace is not None:
                    wait_s = engine.pace.reserve(started, cost=self._terms.cost)
                    if wait_s > 0:
                        await asyncio.sleep(wait_s)
                await engine.slots.acquire()
        except TimeoutError as error:
            what = f"not sent: {limit_s:g} s passed in our own queue"
            raise QueueTimeout(what, facts=self._facts()) from error
        waited_s = self._loop.time() - started
        self._waited_s += waited_s
        if self._first_sent is not None:
            self._requeued_s += waited_s

    async def _send(self) -> Response:
        now = self._loop.time()
        if self._first_sent is None:
            self._first_sent = now
        timeout_s = self._terms.attempt_timeout_s
        left_s = self._left_s(now)
        self._sent += 1
        self._engine.tally.sent += 1
        try:
            answer = await self._engine.wire.send(
                self._parcel, timeout_s=min(timeout_s, max(0.0, left_s))
            )
        except AttemptFailed as failure:
            self._record(failure, started=now)
            if failure.cause == "timeout" and left_s <= timeout_s:
                raise self._too_late(failure) from failure
            raise
        self._engine.tally.latencies_s.append(self._loop.time() - now)
        return Response(
            answer.status,
            headers=answer.headers,
            body=answer.body,
            attempts=self._sent,
            waited_s=self._waited_s,
            history=tuple(self._history),
        )

    async def _wait_turned_away(self, refusal: AttemptFailed) -> None:
        """Sleep without a slot until the server wants to be asked again."""
        retry, jitter = self._engine.retry, self._engine.jitter
        self._turned_away += 1
        wait_s = self._asked_s(refusal)
        if wait_s is None:
            ceiling_s = retry.base_s * 2.0 ** min(16, self._turned_away)
            wait_s = jitter.random() * min(retry.cap_s, ceiling_s)
        await self._pause(wait_s, refusal)

    def _asked_s(self, failure: AttemptFailed) -> float | None:
        """Read Retry-After, jittered upward so that not all come back at once."""
        longest_s = self._engine.retry.max_retry_after_s
        asked_s = retry_after_s(failure.headers, cap_s=longest_s)
        if asked_s is None:
            return None
        return asked_s * (1 + _JITTER * self._engine.jitter.random())

    def _backoff_s(self, state: RetryCallState) -> float:
        """Wait as the strategy says, and no less than the server asked."""
        backoff_s = float(self._engine.wait(state))
        failure = state.outcome.exception() if state.outcome else None
        if not isinstance(failure, AttemptFailed):
            return backoff_s
        self._failure = failure
        return max(backoff_s, self._asked_s(failure) or 0.0)

    async def _back_off(self, wait_s: float) -> None:
        await self._pause(wait_s, self._failure)

    async def _pause(self, wait_s: float, failure: AttemptFailed | None) -> None:
        """Sleep, unless the deadline comes first."""
        if wait_s >= self._left_s(self._loop.time()):
            raise self._too_late(failure) from failure
        if failure is not None:
            self._engine.tally.retried[failure.label] += 1
        await asyncio.sleep(wait_s)

    def _left_s(self, now: float) -> float:
        """Seconds until the deadline; time in our own queue does not count."""
        deadline_s = self._terms.deadline_s
        if deadline_s is None or self._first_sent is None:
            return math.inf if deadline_s is None else deadline_s
        return self._first_sent + deadline_s + self._requeued_s - now

    def _may_repeat(self, error: BaseException) -> bool:
        """Tell tenacity whether to go on: only for a passing, harmless repeat."""
        if not isinstance(error, AttemptFailed) or not passing(error):
            return False
        return self._repeatable or untouched(error)

    def _record(self, failure: AttemptFailed, *, started: float) -> None:
        first = started if self._first_sent is None else self._first_sent
        record = Attempt(
            status=failure.status,
            error=failure.what,
            started_s=started - first,
            took_s=self._loop.time() - started,
        )
        self._history.append(record)

    def _too_late(self, failure: AttemptFailed | None) -> DeadlineExceeded:
        last = f"; the last attempt {failure.what}" if failure else ""
        facts = self._facts(failure)
        deadline_s = self._terms.deadline_s or 0.0
        ended = "has passed" if facts.elapsed_s >= deadline_s else "allows no repeat"
        what = f"the deadline of {deadline_s:g} s {ended}{last}"
        return DeadlineExceeded(what, facts=facts)

    def _error(self, failure: AttemptFailed) -> CallError:
        leaf = leaf_of(failure)
        what = failure.what
        if not self._repeatable and passing(failure) and not untouched(failure):
            what += "; not repeated, for the work may have been done"
            what += " (pass idempotency_key= or idempotent=True)"
        return leaf(what, facts=self._facts(failure))

    def _facts(self, failure: AttemptFailed | None = None) -> Facts:
        body = self._engine.redact(failure.body) if failure else b""
        first = self._first_sent
        return Facts(
            method=self._parcel.method,
            url=shown(self._parcel.url),
            attempts=self._sent,
            elapsed_s=0.0 if first is None else self._loop.time() - first,
            status=failure.status if failure else None,
            reason=reason_in(body) if body else "",
            body=body[:EXCERPT_BYTES],
            headers=failure.headers if failure else None,
            history=tuple(self._history),
        )
