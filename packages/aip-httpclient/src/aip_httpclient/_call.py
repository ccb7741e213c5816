"""One logical call: from the queue to an answer or a precise failure."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ._classify import SAFE_METHODS, overloaded, passing, turned_away, untouched
from ._engine import Engine
from ._errors import Attempt, CallError, DeadlineExceeded, Facts, QueueTimeout
from ._events import Event, Kind
from ._hedge import Sent, race
from ._leaf import leaf_of
from ._reason import EXCERPT_BYTES, reason_in
from ._response import Response
from ._secrets import Redactor, shown
from ._wire import AttemptFailed, Parcel

_HISTORY = 32
_THROTTLED = 429


@dataclass(slots=True)
class Terms:
    """What one call may take."""

    cost: float
    may_repeat: bool
    deadline_s: float | None
    attempt_timeout_s: float
    queue_timeout_s: float | None
    first_timeout_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Work out what the first attempt may take."""
        deadline_s = math.inf if self.deadline_s is None else self.deadline_s
        self.first_timeout_s = min(self.attempt_timeout_s, deadline_s)


class Call:
    """Carry one request through the queue, the wire and the repeats."""

    __slots__ = (
        "_engine",
        "_failure",
        "_first_sent",
        "_fresh",
        "_history",
        "_loop",
        "_parcel",
        "_requeued_s",
        "_sent",
        "_terms",
        "_turned_away",
        "_waited_s",
    )

    def __init__(self, parcel: Parcel, *, terms: Terms, engine: Engine) -> None:
        self._parcel = parcel
        self._terms = terms
        self._engine = engine
        self._loop = engine.loop
        self._first_sent: float | None = None
        self._sent = 0
        self._turned_away = 0
        self._waited_s = 0.0
        self._requeued_s = 0.0
        self._history: tuple[Attempt, ...] = ()
        self._failure: AttemptFailed | None = None
        self._fresh = False

    async def attempt(self) -> Response:
        """Send once, when it is our turn.

        Raises:
            AttemptFailed: it came to nothing.
            CallError: there was no time left to send it.
        """
        admission, terms = self._engine.admission, self._terms
        now = self._loop.time()
        if self._failure is not None or terms.queue_timeout_s is not None:
            now = await self._queue(now)
        elif not admission.try_enter(now, cost=terms.cost):
            came = now
            await admission.enter(cost=terms.cost)
            now = self._loop.time()
            self._waited_s += now - came
        try:
            return await self._exchange(now)
        except AttemptFailed as failure:
            self._failure = failure
            await self._note(failure, started=now)
            raise
        except BaseException:
            admission.gate.abandon_probe(self._loop.time(), started=now)
            admission.limit.cohort.lose(started=now)
            raise
        finally:
            admission.leave()

    async def _exchange(self, now: float) -> Response:
        """Send in the slot that we have, and tell the controllers of the answer."""
        engine = self._engine
        if self._first_sent is None:
            self._first_sent = now
        self._count("sent", now)
        hedging, after_s = engine.hedging, None
        if hedging is not None and self._repeatable:
            after_s = hedging.after_s
        if after_s is None:
            answer = await engine.wire.send(
                self._parcel, timeout_s=self._timeout_s(now), fresh=self._fresh
            )
            sent = now
        else:
            answer, sent = await self._hedged(now, after_s=after_s)
        status, headers, body = answer
        ended = self._loop.time()
        engine.on_answer(ended, started=sent)
        engine.on_headers(headers, ended)
        if engine.on_event is not None:
            self._tell("answered", ended, status=status, took_s=ended - sent)
        return Response(
            status,
            headers=headers,
            body=body,
            attempts=self._sent,
            waited_s=self._waited_s,
            history=self._history,
        )

    def _count(self, kind: Kind, now: float) -> None:
        engine = self._engine
        admission = engine.admission
        self._sent += 1
        admission.pace.taken_in += 1
        # By the same clock reading as its answer will be told with, not admission's:
        # on a busy machine a task may wake long after it was let out.
        admission.limit.cohort.send(now, crowd=admission.taken)
        engine.tally.sent += 1
        if engine.on_event is not None:
            self._tell(kind, now)

    async def _hedged(self, now: float, *, after_s: float) -> Sent:
        """Send, and once more if that is slow; note what was overtaken."""
        running = [now]

        def failed(failure: AttemptFailed) -> None:
            running.remove(failure.sent_at)
            self._record(failure, started=failure.sent_at)

        answer, sent = await race(
            self._send(now),
            after_s=after_s,
            second=lambda: self._second(running),
            failed=failed,
        )
        running.remove(sent)
        for started in running:
            self._engine.admission.limit.cohort.lose(started=started)
            self._remember(None, "overtaken by another send", started=started)
        return answer, sent

    async def _send(self, now: float) -> Sent:
        timeout_s = self._timeout_s(now)
        send = self._engine.wire.send
        try:
            return await send(self._parcel, timeout_s=timeout_s, fresh=self._fresh), now
        except AttemptFailed as failure:
            failure.sent_at = now
            raise

    def _second(self, running: list[float]) -> asyncio.Task[Sent] | None:
        """Send once more in a slot of its own, if there is budget and nobody waits."""
        engine, now = self._engine, self._loop.time()
        hedging, admission = engine.hedging, engine.admission
        if hedging is None or not hedging.affordable:
            return None
        if not admission.try_enter(now, cost=self._terms.cost):
            return None
        hedging.spend()
        running.append(now)
        engine.tally.hedged += 1
        self._count("hedged", now)
        task = asyncio.create_task(self._send(now))
        # Not in a `finally` within: what is cancelled before it starts has none.
        task.add_done_callback(lambda _: admission.leave())
        return task

    async def recover(self, first: AttemptFailed) -> Response:
        """Go on after a first failure, as long as there is a point in it.

        tenacity takes over here; its first attempt is the failure we have.

        Raises:
            CallError: there is no point; the leaf says why.
        """
        failures = [first]

        async def attempt() -> Response:
            return await self._taken_in(failures.pop() if failures else None)

        retrying = AsyncRetrying(
            sleep=self._back_off,
            stop=self._engine.stop_strategy(),
            wait=self._backoff_s,
            retry=retry_if_exception(self._may_repeat),
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except AttemptFailed as failure:
            raise self._error(failure) from failure.__cause__

    async def _taken_in(self, failure: AttemptFailed | None) -> Response:
        """Send until the server takes the request in; being refused is no attempt."""
        while True:
            if failure is not None:
                if not self._free(failure):
                    raise failure
                await self._before_again(failure)
            try:
                return await self.attempt()
            except AttemptFailed as again:
                failure = again

    def _free(self, failure: AttemptFailed) -> bool:
        """Tell whether *failure* costs no attempt: the server did not take it in."""
        if turned_away(failure):
            return True
        if failure.cause == "connect":
            # Away for a while; one that has never answered is just a wrong address.
            return overloaded(failure) and self._engine.reached
        return failure.early and not self._fresh and self._may_repeat(failure)

    async def _before_again(self, failure: AttemptFailed) -> None:
        """Wait, without a slot, as long as a request that was not taken in should."""
        wait_s = 0.0
        if failure.early:
            self._fresh = True  # a kept-alive connection was closing: once, elsewhere
        elif failure.alone:
            wait_s = self._engine.asked_s(failure) or 0.0
        elif failure.status != _THROTTLED and not self._engine.admission.gate.down:
            # The first time its slot was held for a round trip; that was the wait.
            self._turned_away += 1
            retry = self._engine.retry
            ceiling_s = retry.base_s * 2.0 ** min(16, self._turned_away - 2)
            if self._turned_away > 1:
                wait_s = self._engine.jitter.random() * min(retry.cap_s, ceiling_s)
        await self._pause(wait_s, failure)

    async def _queue(self, now: float) -> float:
        """Wait in line where time counts; return the time when it is our turn."""
        failure, limit_s = self._failure, self._terms.queue_timeout_s
        if failure is not None:
            await self._queue_again(now, failure)
        elif limit_s is not None:
            await self._queue_briefly(limit_s)
        sent = self._loop.time()
        self._waited_s += sent - now
        return sent

    async def _queue_again(self, now: float, failure: AttemptFailed) -> None:
        """Wait after a failure; what passes in an outage is charged to the deadline."""
        admission = self._engine.admission
        # Back to the front, lest the last calls have all their repeats to come;
        # but one that is turned away must not stand before all others for ever.
        again = not overloaded(failure)
        shut_s = admission.gate.until - now if admission.gate.shut else 0.0
        left_s = self._left_s(now)
        if admission.gate.down:
            # An outage is the server's time, not our queue's: it is charged.
            try:
                async with asyncio.timeout(left_s if left_s < math.inf else None):
                    await admission.enter(cost=self._terms.cost)
            except TimeoutError:
                raise self._too_late(failure) from failure
            shut_s = math.inf
        elif shut_s >= left_s:
            raise self._too_late(failure) from failure
        else:
            await admission.enter(cost=self._terms.cost, again=again)
        waited_s = self._loop.time() - now
        self._requeued_s += max(0.0, waited_s - max(0.0, shut_s))

    async def _queue_briefly(self, limit_s: float) -> None:
        """Wait for the first send, but not for ever."""
        try:
            async with asyncio.timeout(limit_s):
                await self._engine.admission.enter(cost=self._terms.cost)
        except TimeoutError as error:
            what = f"not sent: {limit_s:g} s passed in our own queue"
            self._engine.tally.failed += 1
            raise QueueTimeout(what, facts=self._facts()) from error

    def _timeout_s(self, now: float) -> float:
        """Seconds this attempt may take: the least of what was asked for."""
        engine, timeout_s = self._engine, self._terms.attempt_timeout_s
        if self._sent == 1 and engine.timeout is None:
            return self._terms.first_timeout_s
        if engine.timeout is not None:
            limit = engine.admission.limit
            timeout_s = min(
                timeout_s,
                engine.timeout.seconds(
                    now, changed_at=limit.changed_at, srtt_s=limit.srtt_s
                ),
            )
        if self._terms.deadline_s is None:
            return timeout_s
        left_s = self._left_s(now)
        return timeout_s if timeout_s < left_s else max(0.001, left_s)

    async def _note(self, failure: AttemptFailed, *, started: float) -> None:
        """Record a failed attempt, and hold its slot where it was turned away."""
        self._record(failure, started=started)
        now, engine = self._loop.time(), self._engine
        if failure.cause == "timeout" and self._left_s(now) <= 0.0:
            raise self._too_late(failure) from failure
        if overloaded(failure) and not engine.admission.gate.down:
            # A fast rejection must not free its slot at once, or it comes back hot.
            await asyncio.sleep(min(engine.hold_s(), max(0.0, self._left_s(now))))

    def _record(self, failure: AttemptFailed, *, started: float) -> None:
        """Tell the controllers and the caller of a failed attempt."""
        now, engine = self._loop.time(), self._engine
        failure.redact(self._redactor())
        engine.on_failure(failure, now, started=started)
        self._remember(failure.status, failure.what, started=started)
        if engine.on_event is not None:
            kind: Kind = "turned away" if turned_away(failure) else "failed attempt"
            self._tell(kind, now, failure=failure, took_s=now - started)

    def _remember(self, status: int | None, error: str, *, started: float) -> None:
        first = started if self._first_sent is None else self._first_sent
        record = Attempt(
            status=status,
            error=error,
            started_s=started - first,
            took_s=self._loop.time() - started,
        )
        self._history = (*self._history, record)[-_HISTORY:]

    def _backoff_s(self, state: RetryCallState) -> float:
        """Wait as the strategy says, no less than the server or the budget asks."""
        engine = self._engine
        backoff_s = engine.backoff_s(state)
        failure = state.outcome.exception() if state.outcome else None
        if not isinstance(failure, AttemptFailed):
            return backoff_s
        asked_s = engine.asked_s(failure) or 0.0
        return max(backoff_s, asked_s, engine.budget.take_s(self._loop.time()))

    async def _back_off(self, wait_s: float) -> None:
        await self._pause(wait_s, self._failure)

    async def _pause(self, wait_s: float, failure: AttemptFailed | None) -> None:
        """Sleep, unless the deadline comes first."""
        if wait_s >= self._left_s(self._loop.time()):
            raise self._too_late(failure) from failure
        if failure is not None:
            self._engine.tally.retried[failure.label] += 1
        if wait_s > 0.0:
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

    @property
    def _repeatable(self) -> bool:
        return self._terms.may_repeat or self._parcel.method in SAFE_METHODS

    def _tell(
        self,
        kind: Kind,
        now: float,
        *,
        failure: AttemptFailed | None = None,
        status: int | None = None,
        took_s: float = 0.0,
    ) -> None:
        on_event = self._engine.on_event
        if on_event is not None:
            event = Event(
                kind=kind,
                at_s=now,
                method=self._parcel.method,
                url=shown(self._parcel.url),
                attempt=self._sent,
                status=failure.status if failure else status,
                took_s=took_s,
                limit=self._engine.admission.most,
                error=failure.what if failure else "",
            )
            on_event(event)

    def _too_late(self, failure: AttemptFailed | None) -> DeadlineExceeded:
        self._engine.tally.failed += 1
        last = f"; the last attempt: {failure.what}" if failure else ""
        facts = self._facts(failure)
        deadline_s = self._terms.deadline_s or 0.0
        passed = self._left_s(self._loop.time()) <= 0
        ended = "has passed" if passed else "would pass before the next attempt"
        what = f"the deadline of {deadline_s:g} s {ended}{last}"
        return DeadlineExceeded(what, facts=facts)

    def _error(self, failure: AttemptFailed) -> CallError:
        self._engine.tally.failed += 1
        what = failure.what
        if not self._repeatable and passing(failure) and not untouched(failure):
            what += "; not repeated, for the work may have been done"
            what += " (pass idempotency_key= or idempotent=True)"
        if self._engine.on_event is not None:
            self._tell("gave up", self._loop.time(), failure=failure)
        return leaf_of(failure)(what, facts=self._facts(failure))

    def _redactor(self) -> Redactor:
        """Give what masks the credentials that this call has sent."""
        parcel = self._parcel
        return Redactor([self._engine.headers, parcel.headers], url=parcel.url)

    def _facts(self, failure: AttemptFailed | None = None) -> Facts:
        redactor = self._redactor()
        body = redactor(failure.body) if failure else b""
        first = self._first_sent
        return Facts(
            method=self._parcel.method,
            url=shown(self._parcel.url),
            attempts=self._sent,
            elapsed_s=0.0 if first is None else self._loop.time() - first,
            status=failure.status if failure else None,
            reason=reason_in(body) if body else "",
            body=body[:EXCERPT_BYTES],
            headers=redactor.headers(failure.headers) if failure else None,
            history=self._history,
        )
