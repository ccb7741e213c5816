from __future__ import annotations

from pathlib import Path

from openai_server import OpenAIServer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from aip_pipeline import Ingestion, IngestSettings
from aip_pipeline.otel import observe_run


def metrics(reader: InMemoryMetricReader) -> dict[tuple[str, object], float]:
    found = reader.get_metrics_data()
    assert found is not None
    return {
        (metric.name, (point.attributes or {}).get("outcome", "")): point.value
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    }


async def test_a_meter_shows_the_run_before_and_after_it(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text("Boil water.")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    settings = IngestSettings(
        store=f"sqlite:///{tmp_path}/s.db",
        embedder="openai:test",
        base_url=server.base_url,
    )
    run = Ingestion([str(tmp_path / "*.txt")], settings=settings)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    observe_run(run, meter=provider.get_meter("test"))
    assert metrics(reader)["aip.ingest.chunks", "stored"] == 0
    report = await run.run()
    seen = metrics(reader)
    provider.shutdown()
    assert seen["aip.ingest.chunks", "stored"] == report.stored == 2
    assert seen["aip.ingest.chunks", "dead"] == report.dead == 1
    assert seen["aip.ingest.tokens", ""] == report.tokens > 0
    assert seen["aip.ingest.requests", ""] == report.requests
    assert seen["aip.ingest.held", ""] == 0
    assert seen["aip.ingest.memory", ""] > 10_000_000
