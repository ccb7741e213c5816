"""Rate: when the next request may be sent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ._settings import Rate

_BURST_S = 0.05
_BURST_SHARE = 0.01
_LEARN_REQUESTS = 20
_LEARN_S = 0.3
_UNDER = 0.99
_REGROW_PER_S = 0.005
_REGROW_S = 5.0
_REGROW_MOST = 0.05
_MINUTE_S = 60.0


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


class Pace:
    """Keep the declared rate, or the one learned from the server's 429s.

    Learned: the requests the server took in between two episodes of 429, over the
    time between them, less 1 %; raised by 0.5 % a second, and faster the longer there
    is none.

    Args:
        rate: what the server allows, or None to learn it.

    Attributes:
        active: whether there is a rate to keep.
        taken_in: requests sent since the last episode and not turned away.
    """

    __slots__ = (
        "_declared",
        "_episode_at",
        "_regrow_at",
        "_requests",
        "_tokens",
        "active",
        "taken_in",
    )

    def __init__(self, rate: Rate | None) -> None:
        self._requests: _Clock | None = None
        self._tokens: _Clock | None = None
        self._declared = rate is not None
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
            if not self._declared:
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
        """Begin with the rate the server states: requests a minute, as OpenAI does.

        Only where nothing is known: others mean a day by it, and 429s know better.
        """
        if self._declared or self._requests is not None:
            return
        stated = headers.get("x-ratelimit-limit-requests", "")
        if stated.isascii() and stated.isdigit() and int(stated) > 0:
            self._learn(now, int(stated) / _MINUTE_S)

    def restart(self) -> None:
        """Forget the running count: an outage says nothing about the rate."""
        self._episode_at = None
        self.taken_in = 0

    def _learn(self, now: float, per_s: float) -> None:
        if self._declared:
            return
        at = self._requests.at if self._requests else now
        self._requests = _Clock(max(per_s, 1.0 / _MINUTE_S), burst_s=_BURST_S)
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
