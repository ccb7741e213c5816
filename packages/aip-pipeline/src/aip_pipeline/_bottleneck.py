"""Which stage everything else waits for."""

from __future__ import annotations

from collections import Counter, deque

MAX_LAG_MS = 1000
RECENT_SAMPLES = 200  # 10 s


class Bottleneck:
    """Sample the state of the run; name the stage it most often waited for.

    Held: a count per stage, and what the last `RECENT_SAMPLES` samples waited for.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=RECENT_SAMPLES)

    @property
    def name(self) -> str:
        """Return "reading", "embedding", "writing", or "none": too short to tell."""
        return self._seen.most_common(1)[0][0] if self._seen else "none"

    @property
    def now(self) -> str:
        """Return what the last few seconds mostly waited for, and for what part.

        >>> bottleneck = Bottleneck()
        >>> for waits in (True, True, True, False):
        ...     bottleneck.note(reader_blocked=False, batches_ready=int(waits),
        ...         in_flight=8, writer_waiting=0, embedding_waits="tokens per minute")
        >>> bottleneck.now
        'tokens per minute 75 %'
        """
        if not self._recent:
            return "none"
        ((name, times),) = Counter(self._recent).most_common(1)
        return f"{name} {times / len(self._recent):.0%}".replace("%", " %")

    def note(
        self,
        *,
        reader_blocked: bool,
        batches_ready: int,
        in_flight: int,
        writer_waiting: int,
        embedding_waits: str = "embedding",
    ) -> None:
        """Add one sample of who waits for whom.

        Args:
            reader_blocked: whether the reader waits for memory.
            batches_ready: batches that no worker has taken.
            in_flight: batches that workers have taken.
            writer_waiting: items in the writer's queue.
            embedding_waits: what the embedder itself waits for.
        """
        if batches_ready or (in_flight and reader_blocked and not writer_waiting):
            self._seen["embedding"] += 1
            self._recent.append(embedding_waits)
            return
        name = "writing" if reader_blocked or writer_waiting else "reading"
        self._seen[name] += 1
        self._recent.append(name)


class LoopLag:
    """Keep how late the event loop woke, in buckets of a millisecond.

    Held: one count per bucket, whatever the length of the run.
    """

    def __init__(self) -> None:
        self._buckets = [0] * (MAX_LAG_MS + 1)

    def note(self, late_s: float) -> None:
        """Add one wake-up that was *late_s* seconds late."""
        self._buckets[min(MAX_LAG_MS, max(0, int(late_s * 1000)))] += 1

    def quantile_s(self, share: float) -> float:
        """Return the lag that *share* of the wake-ups did not exceed, in seconds.

        >>> lag = LoopLag()
        >>> for late_s in (0.001, 0.002, 0.050):
        ...     lag.note(late_s)
        >>> lag.quantile_s(0.5)
        0.003
        """
        wanted, seen = share * sum(self._buckets), 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return (bucket + 1) / 1000
        return 0.0
