from __future__ import annotations

from pathlib import Path

from openai_server import OpenAIServer
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aip_pipeline import Ingestion, IngestSettings
from aip_pipeline.prometheus import RunCollector


def metrics(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    text = generate_latest(registry).decode()
    return {
        (sample.name, sample.labels.get("outcome", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_registry_shows_the_run_before_and_after_it(
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
    registry = CollectorRegistry()
    registry.register(RunCollector(run))
    assert metrics(registry)["aip_ingest_chunks_total", "stored"] == 0
    report = await run.run()
    seen = metrics(registry)
    assert seen["aip_ingest_chunks_total", "stored"] == report.stored == 2
    assert seen["aip_ingest_chunks_total", "dead"] == report.dead == 1
    assert seen["aip_ingest_tokens_total", ""] == report.tokens > 0
    assert seen["aip_ingest_requests_total", ""] == report.requests
    assert seen["aip_ingest_held_bytes", ""] == 0
    assert seen["aip_ingest_memory_bytes", ""] > 10_000_000
