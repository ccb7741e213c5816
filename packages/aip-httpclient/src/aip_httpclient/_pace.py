"""Rate: when the next request may be sent."""

from __future__ import annotations

from ._settings import Rate


class Pace:
    """Keep a declared rate: a virtual clock per limit (GCRA), first come first served.

    Each call moves the theoretical arrival time on by its share of the window, so
    that a heavy call waits no longer than its turn and none can overtake it.
    Source: ITU-T I.371, generic cell rate algorithm.

    Args:
        rate: what the server allows.
        burst_s: how much unused time may be caught up on at once.
    """

    __slots__ = ("_burst_s", "_interval_s", "_per_token_s", "_request_at", "_token_at")

    def __init__(self, rate: Rate, *, burst_s: float = 0.05) -> None:
        self._interval_s = rate.per_s / rate.requests if rate.requests else 0.0
        self._per_token_s = rate.per_s / rate.tokens if rate.tokens else 0.0
        self._burst_s = burst_s
        self._request_at = self._token_at = float("-inf")

    def reserve(self, now: float, *, cost: float) -> float:
        """Take the next place in line; return the seconds to wait for it."""
        earliest = now - self._burst_s
        due = max(now, self._request_at, self._token_at)
        self._request_at = max(self._request_at, earliest) + self._interval_s
        self._token_at = max(self._token_at, earliest) + cost * self._per_token_s
        return due - now
