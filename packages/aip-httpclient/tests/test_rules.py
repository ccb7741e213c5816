"""The thirteen hard-won rules, each with a test named after it."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from dataclasses import replace

import pytest
from aiohttp import web

from aip_httpclient import (
    AsyncHttpClient,
    Event,
    HttpClientError,
    Rate,
    Retry,
    StatusFailed,
    StatusRefused,
)
from aip_httpclient._budget import RetryBudget
from aip_httpclient._limit import AdaptiveLimit
from aip_httpclient._pace import Pace
from aip_httpclient._timeout import AdaptiveTimeout
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

QUARTER = Latency(median_s=0.25)
URL = "http://model/"


async def crowd(client: AsyncHttpClient, n: int) -> int:
    """Make *n* calls at once; return how many came through."""

    async def one(i: int) -> bool:
        try:
            await client.post(URL, json=i, idempotency_key=str(i))
        except HttpClientError:
            return False
        return True

    return sum(await asyncio.gather(*[one(i) for i in range(n)]))


def test_rule_01_a_retry_budget_refills_by_time_or_a_batch_job_deadlocks() -> None:
    budget = RetryBudget(ratio=0.2, per_s=10.0)
    waits = [budget.take_s(0.0) for _ in range(150)]
    assert waits[99] == 0.0
    assert waits[-1] == pytest.approx(5.0)
    assert budget.take_s(60.0) == 0.0
    with pytest.raises(ValueError, match="batch job"):
        Retry(budget_per_s=0.0)

    async def everything_fails_at_first() -> int:
        faults = Faults(brownouts=(Brownout(start_s=0, end_s=3, status=500),))
        retry = Retry(attempts=12)
        client = ModelClient(model=FaultModel(faults), retry=retry, seed=1)
        async with client:
            return await crowd(client, 300)

    assert run_in_fake_time(everything_fails_at_first()) == 300


def test_rule_02_a_fast_rejection_holds_its_slot_about_one_round_trip() -> None:
    async def main() -> float:
        model = FaultModel(Faults(latency=QUARTER))
        async with ModelClient(model=model, concurrency=1, seed=1) as client:
            await client.post(URL, json=0)
            now = asyncio.get_running_loop().time()
            model.faults = Faults(brownouts=(Brownout(start_s=0, end_s=now + 0.01),))
            task = asyncio.create_task(client.post(URL, json=0))
            await asyncio.sleep(0.05)
            assert client.stats.in_flight == 1
            return (await task).waited_s

    assert run_in_fake_time(main()) >= 0.0


def test_rule_02_shed_requests_do_not_come_back_as_a_hot_loop() -> None:
    async def main() -> int:
        model = FaultModel(Faults(latency=QUARTER, capacity=10))
        async with ModelClient(model=model, concurrency=20, seed=1) as client:
            assert await crowd(client, 200) == 200
        return model.outcomes["503"]

    # Ten slots too many for 20 round trips: about one rejection each a round trip.
    assert run_in_fake_time(main()) < 20 * 20


def test_rule_03_at_most_one_cut_per_smoothed_success_round_trip() -> None:
    limit = AdaptiveLimit(start=100)
    limit.on_success(1.0, rtt_s=0.25, started=0.75)
    for ms in range(0, 240, 10):
        at = 2.0 + ms / 1000
        limit.on_overload(at, started=at - 0.001)
    assert limit.value == pytest.approx(85.0)
    limit.on_overload(2.3, started=2.29)
    assert limit.value == pytest.approx(85.0 * 0.85)


def test_rule_03_rejections_of_one_burst_say_where_the_edge_is() -> None:
    limit = AdaptiveLimit(start=128)
    limit.on_success(1.0, rtt_s=0.25, started=0.75)
    for i in range(28):
        limit.on_overload(2.0 + i * 1e-4, started=1.999)
    assert limit.value == pytest.approx(100.0)


def test_an_edge_that_is_met_again_is_tried_beyond_less_and_less_often() -> None:
    async def main() -> list[float]:
        shed_at: list[float] = []

        def note(event: Event) -> None:
            if event.status == 503:
                shed_at.append(event.at_s)

        model = FaultModel(Faults(latency=QUARTER, capacity=100))
        async with ModelClient(model=model, on_event=note, seed=1) as client:
            assert await crowd(client, 8000) == 8000
        return shed_at

    shed_at = run_in_fake_time(main())
    gaps_s = [after - before for before, after in itertools.pairwise(shed_at)]
    tries_s = [gap_s for gap_s in gaps_s if gap_s > 0.5]  # others are of one burst
    assert len(shed_at) <= 8
    assert tries_s[-1] > 1.5 * tries_s[0]


def test_rule_03_a_limit_that_was_cut_to_one_grows_again() -> None:
    async def main() -> float:
        model = FaultModel(Faults(latency=QUARTER, capacity=100, error_status=503))
        model.faults = replace(model.faults, error_rate=0.4)
        async with ModelClient(model=model, seed=1) as client:
            calls = asyncio.ensure_future(crowd(client, 30_000))
            await asyncio.sleep(60.0)
            assert client.stats.limit < 4
            model.faults = replace(model.faults, error_rate=0.0)
            await asyncio.sleep(60.0)
            calls.cancel()
            return client.stats.limit

    assert run_in_fake_time(main()) > 50


def test_rule_04_resume_at_nine_tenths_of_the_limit_from_before_the_cascade() -> None:
    events: list[Event] = []

    async def main() -> None:
        outage = Brownout(start_s=4, end_s=9)
        faults = Faults(latency=QUARTER, capacity=100, brownouts=(outage,))
        model = FaultModel(faults)
        client = ModelClient(model=model, on_event=events.append, seed=1)
        async with client:
            assert await crowd(client, 3000) == 3000

    run_in_fake_time(main())
    (outage,) = [e for e in events if e.kind == "outage"]
    (back,) = [e for e in events if e.kind == "recovered"]
    # A request shed within the round trip before belongs to the cascade.
    before = max(e.limit for e in events if e.kind == "sent" and 3.7 < e.at_s < 4)
    assert outage.at_s < 4.6
    assert 9.0 <= back.at_s <= 10.2
    assert back.limit <= before
    resumed = max(e.limit for e in events if back.at_s < e.at_s < back.at_s + 0.2)
    assert resumed == pytest.approx(0.9 * before, rel=0.02)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_rule_05_turned_away_requests_spend_no_attempts(status: int) -> None:
    async def main() -> tuple[int, int]:
        faults = Faults(brownouts=(Brownout(start_s=0, end_s=5, status=status),))
        retry = Retry(attempts=1)
        async with ModelClient(model=FaultModel(faults), retry=retry, seed=1) as client:
            response = await client.post(URL, json=0)
        return response.status, response.attempts

    ended, attempts = run_in_fake_time(main())
    assert ended == 200
    assert attempts > 3


def test_rule_06_the_rate_is_what_was_taken_in_between_episodes_of_429() -> None:
    pace = Pace(None)
    assert not pace.active
    pace.on_429(10.0, started=9.9)
    pace.taken_in += 302
    pace.on_429(10.001, started=9.95)  # the same episode
    pace.on_429(12.0, started=11.9)
    assert pace.per_s == pytest.approx(300 / 2.0 * 0.99)


def test_rule_06_a_learned_rate_ends_the_429s() -> None:
    async def main() -> tuple[int, float]:
        faults = Faults(
            latency=QUARTER, requests_per_window=100, window_s=1, limiter="bucket"
        )
        model = FaultModel(faults)
        async with ModelClient(model=model, seed=1) as client:
            assert await crowd(client, 2000) == 2000
            loop = asyncio.get_running_loop()
            return model.outcomes["429"], loop.time()

    throttled, elapsed_s = run_in_fake_time(main())
    assert throttled <= 10
    assert elapsed_s < (2000 - 100) / 100 / 0.9


def test_rule_07_the_limit_does_not_grow_while_the_caller_or_the_rate_limits() -> None:
    async def caller_limited() -> float:
        async with ModelClient(model=FaultModel(Faults(latency=QUARTER))) as client:
            for _ in range(40):
                await crowd(client, 8)
            return client.stats.limit

    async def rate_limited() -> float:
        rate = Rate(requests=20, per_s=1)
        model = FaultModel(Faults(latency=QUARTER))
        async with ModelClient(model=model, rate=rate) as client:
            await crowd(client, 200)
            return client.stats.limit

    assert run_in_fake_time(caller_limited()) == 16
    assert run_in_fake_time(rate_limited()) == 16


@pytest.mark.parametrize("seed", range(5))
def test_rule_08_silent_queueing_is_seen_without_any_error(seed: int) -> None:
    async def main() -> tuple[float, list[float]]:
        latency = Latency(median_s=0.25, sigma=0.1)
        faults = Faults(seed=seed, latency=latency, capacity=100, overload="slow")
        limits: list[float] = []
        model = FaultModel(faults)
        async with ModelClient(model=model, seed=seed) as client:

            async def watch() -> None:
                while True:
                    await asyncio.sleep(0.25)
                    limits.append(client.stats.limit)

            watching = asyncio.create_task(watch())
            loop = asyncio.get_running_loop()
            assert await crowd(client, 4000) == 4000
            watching.cancel()
            return loop.time(), limits

    elapsed_s, limits = run_in_fake_time(main())
    assert elapsed_s < 10 / 0.8
    late = limits[12:-4]
    assert all(75 <= limit <= 145 for limit in late)
    assert 75 <= sorted(late)[len(late) // 2] <= 125


def test_rule_08_answers_that_only_grow_slower_do_not_cost_throughput() -> None:
    async def main() -> float:
        model = FaultModel(Faults(latency=Latency(median_s=0.25, sigma=0.1), seed=1))
        async with ModelClient(model=model, seed=1) as client:
            assert await crowd(client, 1000) == 1000
            model.faults = Faults(latency=Latency(median_s=0.5, sigma=0.1), seed=2)
            loop = asyncio.get_running_loop()
            started = loop.time()
            assert await crowd(client, 10_000) == 10_000
            return 10_000 / (loop.time() - started)

    # 100 at once would bring 200 a second.
    assert run_in_fake_time(main()) > 400


def test_rule_08_a_small_server_keeps_a_few_waiting_to_be_next() -> None:
    limits: list[float] = []

    async def main() -> None:
        model = FaultModel(Faults(latency=QUARTER, capacity=16, overload="slow"))

        def note(event: Event) -> None:
            if event.kind == "sent" and event.at_s > 12 * 0.25:
                limits.append(event.limit)

        async with ModelClient(model=model, on_event=note, seed=1) as client:
            assert await crowd(client, 2000) == 2000

    run_in_fake_time(main())
    assert min(limits) >= 19


def test_rule_09_no_adaptive_timeout_for_two_round_trips_after_a_change() -> None:
    timeout = AdaptiveTimeout(ceiling_s=30.0)
    for _ in range(64):
        timeout.on_success(1.0)
    assert timeout.seconds(10.0, changed_at=7.9, srtt_s=1.0) == 3.0
    assert timeout.seconds(10.0, changed_at=8.1, srtt_s=1.0) == 30.0


def test_rule_09_an_adaptive_timeout_cuts_a_hang_short() -> None:
    async def main() -> float:
        model = FaultModel(Faults(latency=QUARTER))
        async with ModelClient(
            model=model, concurrency=4, adaptive_timeout=True, seed=1
        ) as client:
            assert await crowd(client, 100) == 100
            model.faults = Faults(latency=QUARTER, hang_rate=0.1, seed=2)
            loop = asyncio.get_running_loop()
            started = loop.time()
            assert await crowd(client, 100) == 100
            return loop.time() - started

    assert run_in_fake_time(main()) < 30


async def test_rule_10_the_status_comes_before_the_body() -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(
            status=422, body=b"not gzip", headers={"Content-Encoding": "gzip"}
        )

    async with (
        FaultServer(handler=broken) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.post("x", json=1)
    assert caught.value.status == 422


async def test_rule_10_a_200_that_says_rate_limited_is_a_429() -> None:
    bodies = [b'{"error": {"code": "rate_limit_exceeded"}}', b'{"ok": true}']

    async def polite(_: web.Request) -> web.Response:
        headers = {"retry-after-ms": "1"}
        return web.Response(body=bodies.pop(0), headers=headers)

    async with (
        FaultServer(handler=polite) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        response = await client.post("x", json=1)
        assert client.stats.retried == {"429": 1}
    assert response.json() == {"ok": True}


async def test_rule_11_a_discarded_response_is_released_before_sleeping() -> None:
    async def throttled(_: web.Request) -> web.Response:
        body = gzip.compress(b"x" * 200_000)
        headers = {"Retry-After": "5", "Content-Encoding": "gzip"}
        return web.Response(status=429, body=body, headers=headers)

    async with (
        FaultServer(handler=throttled) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        task = asyncio.create_task(client.post("x", json=1))
        async with asyncio.timeout(30):
            while client.stats.queued == 0:  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.01)
        assert client._engine is not None
        connector = client._engine.wire._session.connector  # type: ignore[attr-defined]  # the bound of this test
        assert not connector._acquired
        assert client.stats.in_flight == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def closing_after(idle_s: float) -> tuple[asyncio.Server, list[bytes]]:
    """Serve requests, each connection until it has idled *idle_s*."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = 0
        try:
            while True:
                # A new connection may take its time: the race is of the kept ones.
                async with asyncio.timeout(idle_s if served else None):
                    head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split()[0])
                seen.append(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                served += 1
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0), seen


async def test_rule_12_a_keep_alive_race_is_not_a_failure() -> None:
    server, seen = await closing_after(0.02)
    host, port = server.sockets[0].getsockname()
    async with (
        server,
        AsyncHttpClient(
            base_url=f"http://{host}:{port}", retry=Retry(attempts=1), deadline_s=5
        ) as client,
    ):
        for i in range(60):
            body = str(i).encode()
            response = await client.post("x", data=body, idempotent=True)
            assert response.status == 200
            await asyncio.sleep(0.0198)
    assert set(seen) == {str(i).encode() for i in range(60)}


async def test_rule_12_a_race_is_repeated_once_and_only_where_it_is_harmless() -> None:
    faults = Faults(reset_rate=1.0)
    retry = Retry(attempts=1)
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url, retry=retry) as client,
    ):
        with pytest.raises(HttpClientError):
            await client.post("x", json=1)
        assert server.outcomes["reset"] == 1
        with pytest.raises(HttpClientError):
            await client.post("x", json=1, idempotent=True)
        assert server.outcomes["reset"] == 3


def test_rule_13_retry_after_is_jittered_upward_and_shared_by_every_waiter() -> None:
    sent: list[float] = []

    async def main() -> tuple[float, float]:
        model = FaultModel(Faults(latency=QUARTER, throttle_rate=1, retry_after_s=2))

        def note(event: Event) -> None:
            if event.kind == "sent":
                sent.append(event.at_s)

        client = ModelClient(model=model, concurrency=20, on_event=note, seed=3)
        async with client:
            tasks = [asyncio.create_task(client.post(URL, json=i)) for i in range(100)]
            await asyncio.sleep(0.5)
            early = len(sent)
            model.faults = Faults(latency=QUARTER)
            await asyncio.gather(*tasks)
        return early, min(at for at in sent[20:])

    early, resumed_at = run_in_fake_time(main())
    assert early == 20
    assert 2.0 < resumed_at < 2.3


async def test_status_failed_after_all_attempts_keeps_each_of_them() -> None:
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, retry=Retry(base_s=0.001)) as client,
    ):
        with pytest.raises(StatusFailed) as caught:
            await client.get("x")
    assert [a.status for a in caught.value.history] == [500] * 6
