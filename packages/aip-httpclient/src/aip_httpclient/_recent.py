"""What answers have lately taken."""

from __future__ import annotations

from collections import deque

_WINDOW = 256
_EVERY = 64


class Recent:
    """Follow one quantile of the last 256 round trips, looked at every 64 answers.

    Args:
        quantile: between 0 and 1.

    Attributes:
        value_s: the quantile in seconds, or None before there are 64 answers.
    """

    __slots__ = ("_quantile", "_rtts_s", "_seen", "value_s")

    def __init__(self, *, quantile: float) -> None:
        self._quantile = quantile
        self._rtts_s: deque[float] = deque(maxlen=_WINDOW)
        self._seen = 0
        self.value_s: float | None = None

    def add(self, rtt_s: float) -> None:
        """Note one good answer."""
        self._rtts_s.append(rtt_s)
        self._seen += 1
        if self._seen % _EVERY == 0:
            ordered = sorted(self._rtts_s)
            self.value_s = ordered[int(len(ordered) * self._quantile)]
