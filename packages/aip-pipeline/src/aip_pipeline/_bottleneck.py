"""Which stage everything else waits for."""

from __future__ import annotations

from collections import Counter


class Bottleneck:
    """Sample the state of the run; name the stage it most often waited for."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """Return "reading", "embedding", "writing", or "none": too short to tell."""
        return self._seen.most_common(1)[0][0] if self._seen else "none"

    def note(
        self,
        *,
        reader_blocked: bool,
        batches_ready: int,
        in_flight: int,
        writer_waiting: int,
    ) -> None:
        """Add one sample of who waits for whom."""
        if batches_ready or (in_flight and reader_blocked and not writer_waiting):
            self._seen["embedding"] += 1
        elif reader_blocked or writer_waiting:
            self._seen["writing"] += 1
        else:
            self._seen["reading"] += 1
