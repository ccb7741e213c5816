"""Rate: when the next request may be sent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ._settings import Rate
from ._stated import MINUTE_S, stated_limit

_BURST_S = 0.05
_BURST_SHARE = 0.01
_LEARN_REQUESTS = 20
_LEARN_S = 0.3
_UNDER = 0.99
_REGROW_PER_S = 0.005
_REGROW_S = 5.0
_REGROW_MOST = 0.05


class _Clock:
    """One limit as a generic cell rate algorithm (ITU-T I.371): a virtual clock.

    Each call moves the clock on by its share; a call may go when the clock is not
    ahead of now. A heavy call pushes the clock far, and those behind it wait: none
    overtakes, none starves.
    """

    __slots__ = ("at", "burst_s", "interval_s")

    def __init__(self, per_s: float, *, burst_s: float) -> None:
        self.interval_s = 1.0 / per_s
        self.burst_s = burst_s
        self.at = -math.inf

    def spend(self, now: float, amount: float) -> None:
        self.at = max(self.at, now - self.burst_s) + amount * self.interval_s


_STATED_MOST = 16
"""Different limits of one kind that are taken over: two models may state two."""


class Pace:
    """Keep the declared rate, or the one the server states, or that its 429s teach.

    Stated: ``x-ratelimit-limit-requests`` and ``-tokens``, a minute's worth. Learned
    from 429s: the requests the server took in between two episodes of them, over the
    time between them, less 1 %; raised by 0.5 % a second, and faster the longer there
    is none. What *rate* declares, of requests or of tokens, is never learned.

    Args:
        rate: what the server allows, or None to learn all of it.

    Attributes:
        active: whether there is a rate to keep.
        taken_in: requests sent since the last episode and not turned away.
    """

    __slots__ = (
        "_declared",
        "_episode_at",
        "_regrow_at",
        "_requests",
        "_stated",
        "_tokens",
        "active",
        "taken_in",
    )

    def __init__(self, rate: Rate | None) -> None:
        self._requests: _Clock | None = None
        self._tokens: _Clock | None = None
        self._declared = {
            "requests": rate is not None and rate.requests is not None,
            "tokens": rate is not None and rate.tokens is not None,
        }
        self._stated: dict[str, set[float]] = {}
        # What was left unused is caught up with, up to 1 % of a window.
        burst_s = rate.per_s * _BURST_SHARE if rate else 0.0
        if rate is not None and rate.requests:
            self._requests = _Clock(rate.requests / rate.per_s, burst_s=burst_s)
        if rate is not None and rate.tokens:
            self._tokens = _Clock(rate.tokens / rate.per_s, burst_s=burst_s)
        self.active = rate is not None
        self._episode_at: float | None = None
        self._regrow_at = 0.0
        self.taken_in = 0

    @property
    def per_s(self) -> float | None:
        """Requests a second, or None where none is known."""
        return 1.0 / self._requests.interval_s if self._requests else None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second, or None where no limit is known."""
        return 1.0 / self._tokens.interval_s if self._tokens else None

    def wait_s(self, now: float) -> float:
        """Seconds until the next call may go; 0.0 or less means now."""
        at = -math.inf
        if self._requests is not None:
            at = self._requests.at
        if self._tokens is not None and self._tokens.at > at:
            at = self._tokens.at
        return at - now

    def spend(self, now: float, *, cost: float) -> None:
        """Charge a call that goes now."""
        if self._requests is not None:
            if self._episode_at is not None:
                self._regrow(now)
            self._requests.spend(now, 1.0)
        if self._tokens is not None and cost:
            self._tokens.spend(now, cost)

    def reconcile(self, difference: float) -> None:
        """Charge the tokens that the server counted beyond the call's cost."""
        if self._tokens is not None:
            self._tokens.at += difference * self._tokens.interval_s

    def on_429(self, now: float, *, started: float) -> None:
        """Learn, once per episode: the 429s of requests sent before it are one."""
        self.taken_in -= 1
        last = self._episode_at
        if last is not None:
            if started <= last:
                return
            since_s = now - last
            if self.taken_in > _LEARN_REQUESTS and since_s > _LEARN_S:
                self._learn(now, self.taken_in / since_s * _UNDER)
        self._episode_at = self._regrow_at = now
        self.taken_in = 0

    def on_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Take over the limits that the server states, when they are new."""
        for kind, declared in self._declared.items():
            limit = None if declared else stated_limit(headers, kind)
            # Once per limit: what 429s have taught since then is nearer the truth.
            seen = self._stated.setdefault(kind, set())
            if limit is None or limit in seen or len(seen) >= _STATED_MOST:
                continue
            seen.add(limit)
            if kind == "requests":
                self._learn(now, limit / MINUTE_S)
            else:
                at = self._tokens.at if self._tokens else now
                self._tokens = _Clock(limit / MINUTE_S, burst_s=_BURST_S)
                self._tokens.at = at
                self.active = True

    def restart(self) -> None:
        """Forget the running count: an outage says nothing about the rate."""
        self._episode_at = None
        self.taken_in = 0

    def _learn(self, now: float, per_s: float) -> None:
        if self._declared["requests"]:
            return
        at = self._requests.at if self._requests else now
        self._requests = _Clock(max(per_s, 1.0 / MINUTE_S), burst_s=_BURST_S)
        self._requests.at = at
        self._regrow_at = now
        self.active = True

    def _regrow(self, now: float) -> None:
        clock = self._requests
        since_s = now - self._regrow_at
        if clock is not None and since_s >= 1.0 and self._episode_at is not None:
            calm_s = now - self._episode_at
            gain = min(_REGROW_MOST, _REGROW_PER_S * (1.0 + calm_s / _REGROW_S))
            clock.interval_s /= 1.0 + gain * since_s
            self._regrow_at = now
