"""A run as OpenTelemetry sees it: `pip install aip-pipeline[otel]`."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from aip_pipeline import Ingestion
from aip_pipeline._memory import resident_bytes
from aip_pipeline._metrics import CHUNKS, HELD_BYTES, MEMORY_BYTES, OUTCOMES, TOTALS

__all__ = ["observe_run"]

# Units as OpenTelemetry writes them: what is counted, in braces.
_UNITS = {"embedded": "{text}", "tokens": "{token}"}


def observe_run(run: Ingestion, *, meter: Meter) -> None:
    """Show one run on a meter, under ``aip.ingest.*``.

    Values are read when the meter's reader collects them, from any thread; the run
    does nothing for it. Counts are of what is durable.

    Args:
        run: the run, before or while it goes on.
        meter: yours; nothing is configured here.
    """

    def chunks(_: CallbackOptions) -> Iterator[Observation]:
        for outcome in OUTCOMES:
            yield Observation(getattr(run.report, outcome), {"outcome": outcome})

    name = "aip.ingest.chunks"
    meter.create_observable_counter(name, [chunks], unit="{chunk}", description=CHUNKS)
    for total, said in TOTALS.items():
        _count(run, total, said, meter=meter)

    def held(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(run.held_bytes)

    def memory(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(resident_bytes())

    gauge = meter.create_observable_gauge
    gauge("aip.ingest.held", [held], unit="By", description=HELD_BYTES)
    gauge("aip.ingest.memory", [memory], unit="By", description=MEMORY_BYTES)


def _count(run: Ingestion, total: str, said: str, *, meter: Meter) -> None:
    def value(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(getattr(run.report, total))

    unit = _UNITS.get(total, "{request}")
    meter.create_observable_counter(
        f"aip.ingest.{total}", [value], unit=unit, description=said
    )
