"""What the client sees of itself."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

_WINDOW = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of the client.

    Args:
        limit: how many requests may be on the wire at once.
        in_flight: how many are.
        probes: how many of these only ask whether an outage is over.
        queued: how many wait for a slot.
        rate_per_s: requests a second that are paced for, or None.
        tokens_per_s: tokens a second that are paced for, or None.
        calls: logical calls started.
        sent: requests sent, repeats included.
        retried: repeats, by cause: ``"429"``, ``"500"``, ``"timeout"``, ...
        hedged: second sends of slow attempts; counted in *sent* too.
        failed: calls that ended in a `CallError`.
        latency_s: quantiles of the last 512 good attempts: ``p50 p90 p99``.
        outage: whether nothing gets through at the moment.
        refused_s: seconds since when nothing but refusals has come (429, 503, 529);
            0.0 after any other answer.
    """

    limit: float
    in_flight: int
    probes: int
    queued: int
    rate_per_s: float | None
    tokens_per_s: float | None
    calls: int
    sent: int
    retried: Mapping[str, int]
    hedged: int
    failed: int
    latency_s: Mapping[str, float]
    outage: bool
    refused_s: float = 0.0

    @property
    def retries(self) -> int:
        """All repeats together."""
        return sum(self.retried.values())


class Tally:
    """Count as calls go by."""

    __slots__ = ("calls", "failed", "hedged", "latencies_s", "retried", "sent")

    def __init__(self) -> None:
        self.calls = 0
        self.sent = 0
        self.failed = 0
        self.hedged = 0
        self.retried: Counter[str] = Counter()
        self.latencies_s: deque[float] = deque(maxlen=_WINDOW)

    def quantiles(self) -> dict[str, float]:
        """Return the latency's ``p50 p90 p99`` in seconds; empty before any."""
        ordered = sorted(self.latencies_s)
        last = len(ordered) - 1
        parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99} if ordered else {}
        return {name: ordered[round(last * q)] for name, q in parts.items()}
