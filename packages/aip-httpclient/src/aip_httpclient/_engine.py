"""What all calls of one client share, and how they tell it what happened."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tenacity import RetryCallState
from tenacity.stop import stop_after_attempt

from ._admission import Admission
from ._budget import RetryBudget
from ._classify import broken, overloaded, turned_away, untouched
from ._events import Event, Kind, OnEvent
from ._hedge import Hedging
from ._retry_after import retry_after_s
from ._settings import Retry, StopStrategy
from ._stated import used_up
from ._stats import Tally
from ._timeout import AdaptiveTimeout
from ._wire import AttemptFailed, Wire

_LOG = logging.getLogger("aip_httpclient")
_JITTER = 0.1
_NO_HINT_S = 0.5
_HEADERS_EVERY = 64
_THROTTLED = 429
_DOUBLINGS = 16
_LONG_S = 10.0


@dataclass(slots=True, kw_only=True)
class Engine:
    """Hold the controllers, the wire and the counts of one client."""

    loop: asyncio.AbstractEventLoop
    wire: Wire
    admission: Admission
    retry: Retry
    budget: RetryBudget
    headers: Mapping[str, str] = field(repr=False)
    tally: Tally
    jitter: random.Random
    timeout: AdaptiveTimeout | None
    hedging: Hedging | None
    on_event: OnEvent | None
    reached: bool = False
    worked: bool = False
    unread: int = 0
    refused_from: float = math.inf
    told: bool = False

    def backoff_s(self, state: RetryCallState) -> float:
        """Say how long to wait: as the user's strategy does, or full jitter."""
        retry = self.retry
        if retry.wait is not None:
            return float(retry.wait(state))
        # tenacity's own jitter would draw from the process's generator: no replay.
        doublings = min(_DOUBLINGS, state.attempt_number - 1)
        ceiling_s = min(retry.cap_s, retry.base_s * 2.0**doublings)
        return self.jitter.random() * ceiling_s

    def stop_strategy(self) -> StopStrategy:
        """Say when to stop: the user's word, or a number of attempts."""
        return self.retry.stop or stop_after_attempt(self.retry.attempts)

    def asked_s(self, failure: AttemptFailed) -> float | None:
        """Read Retry-After, jittered upward so that not all come back at once."""
        longest_s = self.retry.max_retry_after_s
        asked_s = retry_after_s(failure.headers, cap_s=longest_s)
        return None if asked_s is None else asked_s * self.upward()

    def upward(self) -> float:
        """Return a factor between 1 and 1.1."""
        return 1.0 + _JITTER * self.jitter.random()

    def hold_s(self) -> float:
        """How long a slot is held after a fast rejection: about one round trip."""
        return self.admission.limit.srtt_s * (0.5 + self.jitter.random())

    def on_answer(self, now: float, *, started: float) -> None:
        """Tell the controllers of a good answer."""
        admission, rtt_s = self.admission, now - started
        admission.limit.on_success(now, rtt_s=rtt_s, started=started)
        self.tally.latencies_s.append(rtt_s)
        if admission.crowd.most < math.inf:
            admission.crowd.on_success(
                now,
                started=started,
                srtt_s=admission.limit.srtt_s,
                limit=admission.limit.value,
            )
        self.reached = self.worked = True
        if self.refused_from < math.inf:
            self._taken_in()
        gate = admission.gate
        gate.good_at, gate.in_a_row = now, 0
        if self.timeout is not None:
            self.timeout.on_success(rtt_s)
        if self.hedging is not None:
            self.hedging.on_success(rtt_s)
        if gate.failing_since is not None:
            self._through(now, started=started)
        self.budget.successes += 1

    def on_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Look at a few answers for the limits that the server states."""
        self.unread -= 1
        if self.unread <= 0:
            self.unread = _HEADERS_EVERY
            self.admission.pace.on_headers(headers, now)

    def on_failure(self, failure: AttemptFailed, now: float, *, started: float) -> None:
        """Tell the controllers of a bad one."""
        admission = self.admission
        if overloaded(failure) and (self.reached or failure.status is not None):
            self._overload(failure, now, started=started)
        elif broken(failure) and self.worked:
            self._trouble(failure, now, started=started)
        elif failure.status is not None:
            # Any answer of its own is a sign of life, even a bad one.
            self.reached = True
            admission.gate.in_a_row = 0
            self._through(now, started=started)
        else:
            admission.gate.end_probe(now, started=started)
        admission.limit.cohort.lose(started=started)
        if turned_away(failure):
            self.refused_from = min(self.refused_from, now)
        elif failure.status is not None and self.refused_from < math.inf:
            self._taken_in()
        if failure.status == _THROTTLED and turned_away(failure):
            self._throttled(failure, now, started=started)
        elif untouched(failure):
            admission.pace.taken_in -= 1

    def _throttled(self, failure: AttemptFailed, now: float, *, started: float) -> None:
        """Find out whether a 429 is about the crowd or the rate, and act on it."""
        admission = self.admission
        pace, srtt_s = admission.pace, admission.limit.srtt_s
        # With a window that is used up it does not matter how many are under way.
        others = 0 if used_up(failure.headers) else admission.taken - 1
        meaning = admission.crowd.on_429(
            now, started=started, others=others, srtt_s=srtt_s
        )
        pace.on_headers(failure.headers, now)
        if meaning == "crowd":
            # The others fit in: the wait that is asked for is this call's own.
            failure.alone = True
            pace.restart()
            return
        if meaning == "again":
            pace.taken_in -= 1
        else:
            pace.on_429(now, started=started)
        asked_s = self.asked_s(failure)
        wait_s = _NO_HINT_S * self.upward() if asked_s is None else asked_s
        admission.gate.pause(now + wait_s, breath_s=srtt_s)
        if not self.told and self.refused_s(now) + wait_s >= _LONG_S:
            self.told = True
            _LOG.warning(
                "every request is refused (%s): waiting as asked", failure.what
            )

    def refused_s(self, now: float) -> float:
        """Say for how long nothing but refusals has come."""
        return max(0.0, now - self.refused_from)

    def _taken_in(self) -> None:
        self.refused_from = math.inf
        if self.told:
            self.told = False
            _LOG.warning("requests are taken in again")

    def _overload(self, failure: AttemptFailed, now: float, *, started: float) -> None:
        admission = self.admission
        limit, gate = admission.limit, admission.gate
        began = gate.on_failure(
            now, started=started, srtt_s=limit.srtt_s, limit=limit.value
        )
        if not gate.down:
            limit.on_overload(now, started=started)
        asked_s = self.asked_s(failure)
        if asked_s:
            gate.pause(now + asked_s, breath_s=limit.srtt_s)
        if began:
            self._down(failure, now)

    def _trouble(self, failure: AttemptFailed, now: float, *, started: float) -> None:
        """Count what may be a call's own misfortune, or the first of an outage."""
        limit, gate = self.admission.limit, self.admission.gate
        if gate.on_trouble(
            now, started=started, srtt_s=limit.srtt_s, limit=limit.value
        ):
            self._down(failure, now)

    def _down(self, failure: AttemptFailed, now: float) -> None:
        self.admission.pace.restart()
        what = failure.what
        _LOG.warning("nothing gets through (%s): asking once a second", what)
        self.tell_state("outage", now, error=failure.what)

    def _through(self, now: float, *, started: float) -> None:
        admission = self.admission
        if admission.gate.on_success(started=started):
            admission.limit.resume(now, remembered=admission.gate.remembered)
            _LOG.warning("requests get through again")
            self.tell_state("recovered", now)

    def tell_state(self, kind: Kind, now: float, *, error: str = "") -> None:
        """Report a change of the whole client."""
        if self.on_event is not None:
            limit = self.admission.most
            self.on_event(Event(kind=kind, at_s=now, limit=limit, error=error))
