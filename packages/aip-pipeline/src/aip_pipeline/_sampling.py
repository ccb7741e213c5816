"""How a run stood over time: a bounded series, finer the shorter the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from aip_pipeline._memory import resident_bytes

if TYPE_CHECKING:
    from aip_pipeline._ingestion import Ingestion
    from aip_pipeline._report import IngestReport
    from aip_pipeline.embedders import Embedder
    from aip_pipeline.stores import DeadLetter

SAMPLE_S: Final = 0.15
# About 200 KB, however long the run: when it is full, every second sample goes, and
# from then on they are taken half as often.
MAX_SAMPLES: Final = 600
MAX_REASONS: Final = 40


class Sample(NamedTuple):
    """Tell how a run stands: totals so far, and what holds at the moment.

    `in_flight` counts requests, `limit` how many there may be (None where nobody
    tells), `held_bytes` texts and vectors, `memory_bytes` the whole process;
    `limited` is the part of `retries` that a 429 caused; `outage` tells whether the
    server is down, and `refused_s` for how long it has refused every request.
    """

    at_s: float
    stored: int
    tokens: int
    in_flight: int
    limit: float | None
    held_bytes: int
    memory_bytes: int
    retries: int
    limited: int
    latency_p50_s: float | None
    latency_p90_s: float | None
    outage: bool = False
    refused_s: float = 0.0

    @classmethod
    def of(
        cls,
        report: IngestReport,
        embedder: Embedder | None,
        *,
        at_s: float,
        batches: int,
        held_bytes: int,
    ) -> Self:
        """Ask an embedder; *batches* are in flight where it does not tell."""
        stats = getattr(embedder, "stats", None)
        quantiles = {} if stats is None else stats.latency_s
        return cls(
            at_s=at_s,
            stored=report.stored,
            tokens=report.tokens,
            in_flight=stats.in_flight if stats else batches,
            limit=None if stats is None else stats.limit,
            held_bytes=held_bytes,
            memory_bytes=resident_bytes(),
            retries=report.retries if embedder is None else embedder.usage.retries,
            limited=0 if stats is None else stats.retried.get("429", 0),
            latency_p50_s=quantiles.get("p50"),
            latency_p90_s=quantiles.get("p90"),
            outage=stats is not None and stats.outage,
            refused_s=getattr(stats, "refused_s", 0.0),
        )


class Series:
    """Keep at most `MAX_SAMPLES` samples, evenly spread over the whole run.

    >>> from aip_pipeline._sampling import Sample, Series
    >>> series = Series()
    >>> for tenth in range(100_000):
    ...     series.add(Sample(tenth / 10, *[0] * 10))
    >>> 300 <= len(series.samples) <= 600
    True
    """

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._interval_s = SAMPLE_S

    def add(self, sample: Sample, *, last: bool = False) -> None:
        """Keep a sample, unless one as recent is kept; the last one always."""
        kept = self.samples
        # A tenth of slack, because timers are never exact.
        if kept and not last and sample.at_s < kept[-1].at_s + 0.9 * self._interval_s:
            return
        if len(kept) >= MAX_SAMPLES:
            del kept[1::2]
            self._interval_s *= 2
        kept.append(sample)


class Reason(NamedTuple):
    """Count the dead letters of one reason, and name the first."""

    number: int
    first: DeadLetter


class Recorder:
    """Follow a run for its report: samples, and what could not be stored.

    Held: `MAX_SAMPLES` samples and `MAX_REASONS` reasons; letters of further reasons
    are only counted.
    """

    def __init__(self) -> None:
        self.series = Series()
        self.reasons: dict[str, Reason] = {}
        self.more_reasons = 0

    def dead_letter(self, letter: DeadLetter) -> None:
        """Count a dead letter by its reason."""
        known = self.reasons.get(letter.reason)
        if known is not None:
            self.reasons[letter.reason] = known._replace(number=known.number + 1)
        elif len(self.reasons) < MAX_REASONS:
            self.reasons[letter.reason] = Reason(1, letter)
        else:
            self.more_reasons += 1

    async def follow(self, run: Ingestion) -> None:
        """Take samples until cancelled; on the run's event loop."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            while True:
                self.series.add(run.sample(loop.time() - started))
                await asyncio.sleep(SAMPLE_S)
        finally:
            last = run.sample(loop.time() - started)
            # A closed embedder tells no more how many 429s there were.
            seen = max((sample.limited for sample in self.series.samples), default=0)
            self.series.add(last._replace(limited=max(seen, last.limited)), last=True)
