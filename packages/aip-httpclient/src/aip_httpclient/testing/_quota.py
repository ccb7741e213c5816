"""Limits per window, as servers keep them."""

from __future__ import annotations

import math

from ._faults import Limiter


class Quota:
    """Allow *amount* per window of *window_s* seconds.

    Args:
        amount: of requests or tokens.
        window_s: length of the window.
        limiter: ``window`` or ``bucket``; see `Faults`.
    """

    def __init__(self, amount: float, *, window_s: float, limiter: Limiter) -> None:
        self._amount = amount
        self._window_s = window_s
        self._bucket = limiter == "bucket"
        self._left = amount
        self._at = 0.0

    def refused_s(self, now_s: float, *, cost: float) -> float | None:
        """Return None and charge *cost* if it fits in, else the seconds until it may.

        >>> quota = Quota(1, window_s=10, limiter="window")
        >>> quota.refused_s(0, cost=1), quota.refused_s(4, cost=1)
        (None, 6.0)
        """
        self._refill(now_s)
        # A request dearer than the whole window goes when the window is whole.
        if min(cost, self._amount) <= self._left + 1e-9:
            self._left -= cost
            return None
        if not self._bucket:
            return self._at + self._window_s - now_s
        missing = min(cost, self._amount) - self._left
        return missing * self._window_s / self._amount

    def stated(self, now_s: float, *, kind: str) -> dict[str, str]:
        """Say in headers what is left."""
        self._refill(now_s)
        if self._bucket:
            reset_s = (self._amount - self._left) * self._window_s / self._amount
        else:
            reset_s = self._at + self._window_s - now_s
        return {
            f"x-ratelimit-limit-{kind}": f"{self._amount:.0f}",
            f"x-ratelimit-remaining-{kind}": f"{max(0.0, self._left):.0f}",
            f"x-ratelimit-reset-{kind}": f"{reset_s:.3f}s",
        }

    def _refill(self, now_s: float) -> None:
        if self._bucket:
            gained = (now_s - self._at) * self._amount / self._window_s
            self._left = min(self._amount, self._left + gained)
            self._at = now_s
            return
        start_s = math.floor(now_s / self._window_s) * self._window_s
        if start_s > self._at:
            self._at = start_s
            self._left = self._amount
