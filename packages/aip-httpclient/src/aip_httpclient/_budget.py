"""A bound on repeats: a server that fails everything is not asked six times as much."""

from __future__ import annotations

_CAPACITY = 100.0


class RetryBudget:
    """Let repeats through at a share of the successes, plus some per second.

    Each repeat takes a token; each success brings *ratio* of one, each second
    *per_s*. An empty budget delays a repeat and never forbids it. The refill by time
    matters: in a batch job everything may be waiting to be repeated, so that no
    success would ever come to refill it.

    Args:
        ratio: repeats per success in the long run.
        per_s: repeats per second beyond that.

    Attributes:
        successes: since the last repeat; counted up by whoever sees one.
    """

    __slots__ = ("_at", "_per_s", "_ratio", "_tokens", "successes")

    def __init__(self, *, ratio: float, per_s: float) -> None:
        self._ratio = ratio
        self._per_s = per_s
        self._tokens = _CAPACITY
        self._at: float | None = None
        self.successes = 0

    def take_s(self, now: float) -> float:
        """Take a token; return the seconds until it is really there."""
        refill = self.successes * self._ratio
        self.successes = 0
        if self._at is not None:
            refill += (now - self._at) * self._per_s
        self._tokens = min(_CAPACITY, self._tokens + refill)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._per_s)
