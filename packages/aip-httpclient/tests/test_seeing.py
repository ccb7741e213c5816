from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from aip_httpclient import AsyncHttpClient, Event, Retry, StatusRefused
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

FAST = Retry(base_s=0.001)


async def test_one_span_covers_all_attempts() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    async with (
        FaultServer(Faults(error_rate=0.5, seed=3)) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST, tracer=tracer) as client,
    ):
        response = await client.post("v1/x?key=1", json=1, idempotent=True)
        assert response.attempts > 1
        server.faults = Faults(error_rate=1, error_status=404)
        with pytest.raises(StatusRefused):
            await client.get("v1/y")
    good, bad = exporter.get_finished_spans()
    told = dict(good.attributes or {})
    assert (good.name, good.kind) == ("POST", SpanKind.CLIENT)
    assert told["url.full"] == f"{server.url}/v1/x"
    assert told["http.response.status_code"] == 200
    assert told["http.request.resend_count"] == response.attempts - 1
    assert bad.status.status_code is StatusCode.ERROR
    assert dict(bad.attributes or {})["error.type"] == "404"


async def test_sent_and_retries_are_those_of_the_stats() -> None:
    async with (
        FaultServer(Faults(error_rate=0.5, seed=3)) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        for number in range(8):
            await client.post("v1/x", json=number, idempotent=True)
        stats = client.stats
        assert (client.sent, client.retries) == (stats.sent, stats.retries)
        assert client.sent == 8 + client.retries > 8


async def test_every_attempt_is_told_without_a_secret() -> None:
    events: list[Event] = []
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(
            base_url=server.url,
            headers={"Authorization": "Bearer sk-very-secret"},
            retry=Retry(attempts=2, base_s=0.001),
            on_event=events.append,
        ) as client,
    ):
        with pytest.raises(Exception, match="answered 500"):
            await client.get("x?token=sk-very-secret")
        server.faults = Faults()
        await client.get("y")
    kinds = [event.kind for event in events]
    attempt = ["sent", "failed attempt"]
    assert kinds == [*attempt, *attempt, "gave up", "sent", "answered"]
    assert events[1].status == 500
    assert events[-1].took_s > 0
    assert "very-secret" not in repr(events)


def test_an_outage_is_logged_once_each_way(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        outage = Brownout(start_s=1, end_s=30)
        model = FaultModel(Faults(latency=Latency(median_s=0.1), brownouts=(outage,)))
        async with ModelClient(model=model, seed=1) as client:
            outcomes = [
                await client.post("http://model/", json=i, deadline_s=60)
                for i in range(20)
            ]
            assert len(outcomes) == 20
            assert not client.stats.outage

    with caplog.at_level(logging.WARNING, logger="aip_httpclient"):
        run_in_fake_time(main())
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "nothing gets through (answered 503): asking once a second",
        "requests get through again",
    ]
