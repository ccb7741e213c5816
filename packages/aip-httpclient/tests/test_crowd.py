"""Servers that answer 429 to more than so many at once, and how they are told apart."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Literal

import pytest

from aip_httpclient import AsyncHttpClient, Event
from aip_httpclient._crowd import Crowd, Meaning
from aip_httpclient.testing import (
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

URL = "http://model/"
RTT_S = 0.2


def fits(slots: int, *, retry_after_s: float | None = None) -> Faults:
    """Build a server that answers 429 to more than *slots* at once."""
    latency = Latency(median_s=RTT_S, sigma=0.2)
    return Faults(
        seed=1,
        latency=latency,
        capacity=slots,
        shed_status=429,
        retry_after_s=retry_after_s,
    )


async def crowd(client: AsyncHttpClient, n: int, *, url: str = URL) -> float:
    """Make *n* calls at once; return how long it took in seconds."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    calls = [client.post(url, json=i, idempotent=True) for i in range(n)]
    await asyncio.gather(*calls)
    return loop.time() - started


def timed(faults: Faults, *, calls: int, told: int | None = None) -> tuple[float, int]:
    """Run in virtual time; return seconds and how many were answered 429."""

    async def main() -> tuple[float, int]:
        model = FaultModel(faults)
        concurrency = "adaptive" if told is None else told
        async with ModelClient(model=model, concurrency=concurrency, seed=1) as client:
            return await crowd(client, calls), model.outcomes["429"]

    return run_in_fake_time(main())


@pytest.mark.parametrize("retry_after_s", [None, 0, 1])
@pytest.mark.parametrize(("slots", "calls"), [(4, 300), (8, 300), (32, 1200)])
def test_a_server_that_takes_so_many_at_once_is_kept_just_full(
    slots: int, calls: int, retry_after_s: float | None
) -> None:
    faults = fits(slots, retry_after_s=retry_after_s)
    told_s, _ = timed(faults, calls=calls, told=slots)
    seconds, throttled = timed(faults, calls=calls)
    assert told_s / seconds >= 0.8
    assert throttled <= calls * 0.08


def test_the_way_to_the_server_may_take_its_time() -> None:
    async def main() -> tuple[float, int]:
        model = FaultModel(fits(32))
        async with ModelClient(model=model, one_way_s=0.02, seed=1) as client:
            return await crowd(client, 1600), model.outcomes["429"]

    seconds, throttled = run_in_fake_time(main())
    assert 1600 / 32 * (RTT_S + 0.04) / seconds >= 0.75
    assert throttled <= 60


async def test_a_server_on_the_wire_is_not_asked_for_more_than_it_takes() -> None:
    faults = replace(fits(8), latency=Latency(median_s=0.02))
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url, seed=1) as client,
    ):
        await crowd(client, 300, url="x")
        assert client.stats.limit <= 9
        assert client.stats.rate_per_s is None
        assert server.outcomes["429"] <= 30
        assert server.peak == 8


def test_a_number_that_is_too_high_is_corrected_too() -> None:
    told_s, _ = timed(fits(8), calls=300, told=8)
    seconds, throttled = timed(fits(8), calls=300, told=24)
    assert told_s / seconds >= 0.8
    assert throttled <= 30


def test_a_server_that_takes_more_later_is_used_to_the_full() -> None:
    async def main() -> float:
        model = FaultModel(fits(8))
        async with ModelClient(model=model, seed=1) as client:
            await crowd(client, 300)
            model.faults = replace(model.faults, capacity=64)
            return await crowd(client, 3000)

    assert 3000 / 64 * RTT_S / run_in_fake_time(main()) >= 0.6


@pytest.mark.parametrize("limiter", ["bucket", "window"])
def test_a_limit_of_requests_a_second_is_still_learned_as_one(
    limiter: Literal["bucket", "window"],
) -> None:
    async def main() -> tuple[float, int, float | None]:
        faults = Faults(
            seed=1,
            latency=Latency(median_s=0.25, sigma=0.4),
            requests_per_window=100,
            limiter=limiter,
        )
        model = FaultModel(faults)
        async with ModelClient(model=model, seed=1) as client:
            seconds = await crowd(client, 2000)
            return seconds, model.outcomes["429"], client.stats.rate_per_s

    seconds, throttled, rate_per_s = run_in_fake_time(main())
    assert throttled <= 10
    assert rate_per_s is not None
    assert 1900 / 100 / seconds >= (0.85 if limiter == "bucket" else 0.7)


def test_the_wait_asked_of_one_too_many_is_its_own() -> None:
    sent: list[float] = []
    refused: list[float] = []

    def note(event: Event) -> None:
        if event.kind == "sent":
            sent.append(event.at_s)
        elif event.status == 429:
            refused.append(event.at_s)

    async def main() -> None:
        model = FaultModel(fits(8, retry_after_s=1))
        async with ModelClient(model=model, on_event=note, seed=1) as client:
            await crowd(client, 300)

    run_in_fake_time(main())
    first, last = refused[0], refused[-1]
    assert not [at for at in sent if first + 0.01 < at < first + 1]
    assert len([at for at in sent if last + 0.01 < at < last + 1]) >= 30


class Server:
    """Tell a `Crowd` of answers, a round trip of one second after the other."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self.now = 0.0

    def refuse(self, *others: int) -> Meaning:
        """Answer 429 to a burst; *others* were under way at each of them."""
        self.now += 1.0
        said = [
            self.crowd.on_429(self.now, started=self.now - 0.5, others=each, srtt_s=1.0)
            for each in others
        ]
        return said[-1]

    def take(self, round_trips: float, *, limit: float = 100.0) -> None:
        """Answer well for so long, with more calls waiting."""
        until = self.now + round_trips
        while self.now < until:
            self.now += 0.5
            self.crowd.full = True
            self.crowd.on_success(
                self.now, started=self.now - 0.25, srtt_s=1.0, limit=limit
            )


def test_what_is_left_of_a_burst_is_what_fits() -> None:
    server = Server()
    assert server.refuse(15, 14, 13, 12) == "either"
    assert server.crowd.most == 12


def test_a_429_with_nothing_else_under_way_is_about_the_rate() -> None:
    server = Server()
    assert server.refuse(3, 2, 1, 0) == "rate"
    assert server.crowd.most == math.inf


def test_a_429_well_below_what_fitted_is_about_the_rate_for_a_while() -> None:
    server = Server()
    server.refuse(20)
    assert server.refuse(10) == "rate"
    assert server.crowd.most == math.inf
    assert server.refuse(20) == "rate"
    server.now += 16.0
    assert server.refuse(20) == "either"
    server.refuse(10)
    server.now += 16.0  # twice as long now
    assert server.refuse(20) == "rate"
    server.now += 16.0
    assert server.refuse(20) == "either"


def test_a_429_just_below_is_doubted_once_without_proof_of_a_crowd() -> None:
    server = Server()
    server.refuse(20)
    server.take(1)
    assert server.refuse(19) == "either"
    assert server.crowd.most == 19
    assert server.refuse(18) == "rate"


def test_a_429_just_below_before_any_answer_teaches_no_rate() -> None:
    server = Server()
    server.refuse(20)
    assert server.refuse(19) == "again"
    assert server.crowd.most == 19
    assert server.refuse(18) == "rate"


def test_a_429_beyond_what_fits_is_about_the_crowd_and_proves_it() -> None:
    server = Server()
    server.refuse(20)
    while server.crowd.most == 20:
        server.take(0.5)
    assert server.crowd.most == 21
    assert server.refuse(20) == "crowd"
    assert server.crowd.most == 20
    assert server.refuse(19) == "crowd"
    assert server.refuse(18) == "again"


def test_an_edge_that_is_met_again_is_tried_less_often() -> None:
    server = Server()
    server.refuse(20)
    waited = []
    for _ in range(5):
        before = server.now
        while server.crowd.most == 20:
            server.take(0.5)
        waited.append(server.now - before)
        server.refuse(20)
    assert waited == sorted(waited)
    assert waited[0] < 6
    assert 32 <= waited[-1] < 34


def test_what_is_taken_in_beyond_is_doubled_until_there_is_no_ceiling() -> None:
    server = Server()
    server.refuse(20)
    seen = []
    while server.crowd.most < math.inf:
        server.take(0.5, limit=50)
        if server.crowd.most not in seen:
            seen.append(server.crowd.most)
    assert seen == [20, 21, 23, 27, 35, math.inf]


def test_a_window_that_is_used_up_is_no_crowd() -> None:
    async def main() -> float:
        faults = Faults(requests_per_window=600, window_s=60, states_limits=True)
        model = FaultModel(replace(faults, latency=Latency(median_s=0.2)))
        async with ModelClient(model=model, concurrency=1000, seed=1) as client:
            await crowd(client, 700)
            return client.stats.limit

    assert run_in_fake_time(main()) == 1000
