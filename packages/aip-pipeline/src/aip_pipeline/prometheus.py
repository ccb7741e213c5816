"""A run as Prometheus sees it: `pip install aip-pipeline[prometheus]`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aip_pipeline import Ingestion
from aip_pipeline._memory import resident_bytes
from aip_pipeline._metrics import CHUNKS, HELD_BYTES, MEMORY_BYTES, OUTCOMES, TOTALS

__all__ = ["RunCollector"]


class RunCollector(Collector):
    """Show one run: register it, and serve or write the registry as usual.

    Values are read when they are asked for, from any thread; the run does nothing
    for it. Counts are of what is durable.

    Args:
        run: the run, before or while it goes on.
    """

    def __init__(self, run: Ingestion) -> None:
        self._run = run

    def collect(self) -> Iterator[Metric]:
        """Yield what holds at this moment."""
        report = self._run.report
        chunks = CounterMetricFamily("aip_ingest_chunks", CHUNKS, labels=["outcome"])
        for outcome in OUTCOMES:
            chunks.add_metric([outcome], getattr(report, outcome))
        yield chunks
        for name, said in TOTALS.items():
            value = getattr(report, name)
            yield CounterMetricFamily(f"aip_ingest_{name}", said, value=value)
        yield GaugeMetricFamily(
            "aip_ingest_held_bytes",
            HELD_BYTES,
            value=self._run.held_bytes,
        )
        yield GaugeMetricFamily(
            "aip_ingest_memory_bytes",
            MEMORY_BYTES,
            value=resident_bytes(),
        )
