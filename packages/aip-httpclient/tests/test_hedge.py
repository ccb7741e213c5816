"""A slow attempt is sent a second time: only if asked for, harmless and affordable."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from aip_httpclient import AsyncHttpClient, CallError, Event, Hedge, Response, Retry
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

URL = "http://model/"
STEADY = Faults(latency=Latency(median_s=0.1, sigma=0.1))
SLOW = replace(STEADY, straggler_rate=0.03, straggler_factor=50.0, seed=1)
ALL_SLOW = replace(STEADY, straggler_rate=1.0, straggler_factor=50.0)


async def warm(client: AsyncHttpClient) -> None:
    """Show it what answers take: 64 of them are needed."""
    for i in range(64):
        await client.post(URL, json=i, idempotent=True)


async def timed(client: AsyncHttpClient, n: int, *, at_once: int) -> list[float]:
    """Make *n* calls; return what each of them took, sorted."""
    loop, took, left = asyncio.get_running_loop(), [], iter(range(n))

    async def worker() -> None:
        for i in left:
            started = loop.time()
            await client.post(URL, json=i, idempotency_key=str(i))
            took.append(loop.time() - started)

    await asyncio.gather(*[worker() for _ in range(at_once)])
    return sorted(took)


def stragglers(hedge: Hedge | None) -> tuple[list[float], int, int]:
    async def main() -> tuple[list[float], int, int]:
        model = FaultModel(SLOW)
        client = ModelClient(model=model, concurrency=20, hedge=hedge, seed=1)
        async with client:
            took = await timed(client, 1000, at_once=8)
            assert (client.stats.in_flight, client.stats.queued) == (0, 0)
            return took, model.arrived, client.stats.hedged

    return run_in_fake_time(main())


def test_hedging_cuts_the_tail_for_a_few_per_cent_of_requests() -> None:
    plain, arrived, hedged = stragglers(None)
    assert (arrived, hedged) == (1000, 0)
    assert plain[985] > 4.0
    cut, arrived, hedged = stragglers(Hedge(quantile=0.95))
    assert cut[985] < 0.4
    # One that is overtaken on its way to the server never arrives.
    assert 1000 + hedged - 5 <= arrived <= 1000 + hedged
    assert 20 <= hedged <= 0.05 * 1000 + 1


def test_the_budget_bounds_what_is_sent_twice() -> None:
    async def main() -> int:
        model = FaultModel(STEADY)
        client = ModelClient(model=model, hedge=Hedge(budget_ratio=0.1), seed=1)
        async with client:
            await warm(client)
            before = client.stats.hedged
            model.faults = ALL_SLOW
            await timed(client, 100, at_once=10)
            return client.stats.hedged - before

    # What 64 answers have saved up, and a tenth of a hundred.
    assert run_in_fake_time(main()) <= 7.4 + 10


@pytest.mark.parametrize("idempotent", [True, False])
def test_only_a_call_that_is_safe_to_repeat_is_hedged(*, idempotent: bool) -> None:
    async def main() -> tuple[int, int]:
        model = FaultModel(STEADY)
        async with ModelClient(model=model, hedge=Hedge(), seed=1) as client:
            await warm(client)
            sent, hedged = client.stats.sent, client.stats.hedged
            model.faults = ALL_SLOW
            await client.post(URL, json=1, idempotent=idempotent)
            return client.stats.sent - sent, client.stats.hedged - hedged

    assert run_in_fake_time(main()) == ((2, 1) if idempotent else (1, 0))


def test_a_hedge_takes_no_slot_from_a_call_that_waits() -> None:
    async def main() -> tuple[int, int]:
        model = FaultModel(STEADY)
        client = ModelClient(model=model, concurrency=2, hedge=Hedge(), seed=1)
        async with client:
            await warm(client)
            before = client.stats.hedged
            model.faults = ALL_SLOW
            calls = [client.post(URL, json=i, idempotent=True) for i in range(4)]
            done = asyncio.gather(*calls)
            await asyncio.sleep(4.0)
            waiting = client.stats.hedged - before
            await done
            return waiting, model.peak

    waiting, peak = run_in_fake_time(main())
    assert (waiting, peak) == (0, 2)


def hedged_once(faults: Faults) -> tuple[Response, list[Event]]:
    """Call slowly once; *faults* hold from 0.2 s after the send on."""
    events: list[Event] = []

    async def main() -> Response:
        model = FaultModel(STEADY)
        client = ModelClient(model=model, hedge=Hedge(), on_event=events.append, seed=1)
        async with client:
            await warm(client)
            events.clear()
            model.faults = ALL_SLOW
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, setattr, model, "faults", faults)
            try:
                return await client.post(URL, json=1, idempotency_key="k")
            finally:
                assert client.stats.in_flight == 0

    return run_in_fake_time(main()), events


def test_the_loser_is_cancelled_and_told_of() -> None:
    response, events = hedged_once(STEADY)
    assert [e.kind for e in events] == ["sent", "hedged", "answered"]
    assert [e.attempt for e in events] == [1, 2, 2]
    assert response.attempts == 2
    (overtaken,) = response.history
    assert overtaken.status is None
    assert overtaken.error == "overtaken by another send"
    assert overtaken.took_s < 0.5


def test_a_hedge_that_fails_leaves_the_first_to_answer() -> None:
    refusing = Brownout(start_s=0, end_s=1000, status=500)
    response, events = hedged_once(replace(ALL_SLOW, brownouts=(refusing,)))
    kinds = [e.kind for e in events]
    assert kinds == ["sent", "hedged", "failed attempt", "answered"]
    assert [each.status for each in response.history] == [500]
    assert events[-1].at_s - events[0].at_s > 4.0


def test_two_failures_are_one_failed_attempt_and_are_repeated() -> None:
    async def main() -> tuple[Response, int]:
        model = FaultModel(STEADY)
        retry = Retry(base_s=0.001, attempts=2)
        client = ModelClient(model=model, hedge=Hedge(), retry=retry, seed=1)
        async with client:
            await warm(client)
            before = model.arrived
            model.faults = replace(ALL_SLOW, error_rate=1.0)
            loop = asyncio.get_running_loop()
            loop.call_later(7.0, setattr, model, "faults", STEADY)
            response = await client.post(URL, json=1, idempotent=True)
            assert client.stats.in_flight == 0
            return response, model.arrived - before

    response, arrived = run_in_fake_time(main())
    # Two executed attempts are allowed: the third send shows that the pair was one.
    assert [each.status for each in response.history[:2]] == [500, 500]
    assert arrived == response.attempts > 2


async def test_on_the_wire_the_slot_of_the_loser_is_free_at_once() -> None:
    slow = False

    async def answer(_: web.Request) -> web.Response:
        nonlocal slow
        if slow:
            slow = False
            await asyncio.sleep(30)
        return web.Response()

    async with (
        FaultServer(handler=answer) as server,
        AsyncHttpClient(base_url=server.url, hedge=Hedge(quantile=0.9)) as client,
    ):
        for _ in range(64):
            await client.get("x")
        slow = True
        async with asyncio.timeout(20):
            response = await client.get("x")
        assert response.attempts >= 2
        assert client.stats.in_flight == 0
        assert client.stats.hedged >= 1


async def test_cancelling_a_hedged_call_leaves_nothing() -> None:
    async with (
        FaultServer(Faults()) as server,
        AsyncHttpClient(base_url=server.url, hedge=Hedge()) as client,
    ):
        for _ in range(64):
            await client.get("x")
        server.faults = Faults(hang_rate=1.0)
        call = asyncio.create_task(client.get("x"))
        async with asyncio.timeout(20):
            while client.stats.in_flight < 2:  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.01)
        assert [task for task in asyncio.all_tasks() if "Call._send" in repr(task)]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert client.stats.in_flight == 0
        server.faults = Faults()
        await asyncio.sleep(0)
        # The server's own tasks end when it notices.
        assert not [task for task in asyncio.all_tasks() if "Call." in repr(task)]


def test_both_answers_of_a_key_honouring_server_are_one_piece_of_work() -> None:
    async def main() -> FaultModel:
        model = FaultModel(replace(SLOW, honours_keys=True))
        client = ModelClient(model=model, concurrency=20, hedge=Hedge(), seed=1)
        async with client:
            await timed(client, 500, at_once=8)
        return model

    model = run_in_fake_time(main())
    assert model.arrived > 500
    assert set(model.worked.values()) == {1}


def test_an_outage_is_not_hedged() -> None:
    async def main() -> int:
        model = FaultModel(STEADY)
        client = ModelClient(
            model=model, hedge=Hedge(), attempt_timeout_s=1.0, deadline_s=20, seed=1
        )
        async with client:
            await warm(client)
            model.faults = replace(STEADY, hang_rate=1.0)
            calls = [client.post(URL, json=i, idempotent=True) for i in range(16)]
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(each, CallError) for each in ended)
            return client.stats.hedged

    assert run_in_fake_time(main()) <= 5
