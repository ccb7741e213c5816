from __future__ import annotations

import asyncio
from typing import Literal

import pytest
from hypothesis import given, settings, strategies as st

from aip_httpclient import AsyncHttpClient, Rate, Response
from aip_httpclient._pace import Pace
from aip_httpclient.testing import (
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

URL = "http://model/"


def sent_at(rate: Rate, costs: list[float]) -> list[tuple[float, int]]:
    """Send calls of these costs at once; return when each was sent, in order."""
    order: list[tuple[float, int]] = []

    async def main() -> None:
        model = FaultModel(Faults())
        async with ModelClient(model=model, rate=rate, concurrency=1000) as client:

            async def call(i: int, cost: float) -> None:
                await client.post(URL, json=i, cost=cost)
                order.append((asyncio.get_running_loop().time(), i))

            await asyncio.gather(*[call(i, cost) for i, cost in enumerate(costs)])

    run_in_fake_time(main())
    return order


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 200),
    st.lists(st.floats(0, 500), min_size=2, max_size=60),
)
def test_the_rate_is_kept_in_every_window(per_s: int, costs: list[float]) -> None:
    order = sent_at(Rate(requests=per_s, tokens=1000, per_s=1), costs)
    times = [at for at, _ in order]
    # 1 % of a window may be caught up with, and the first goes at once.
    for i, start in enumerate(times):
        within = [k for k in range(i, len(times)) if times[k] < start + 1 - 1e-9]
        assert len(within) <= per_s * 1.01 + 1.001
        heavy = sum(costs[order[k][1]] for k in within[:-1])
        assert heavy <= 1000 * 1.01 + 500.001


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 900.0]), min_size=2, max_size=30))
def test_first_come_first_served_so_that_a_heavy_call_never_starves(
    costs: list[float],
) -> None:
    order = sent_at(Rate(tokens=1000, per_s=1), costs)
    at = {i: when for when, i in order}
    assert [at[i] for i in range(len(costs))] == sorted(at.values())


def test_the_usage_the_server_reports_corrects_the_cost() -> None:
    def usage(_: Response) -> float:
        return 500.0

    rate = Rate(tokens=1000, per_s=1)
    model = Faults()
    guessed = run_in_fake_time(_timed(rate, model, None))
    corrected = run_in_fake_time(_timed(rate, model, usage))
    assert guessed == pytest.approx(0.4, abs=0.05)
    assert corrected == pytest.approx(2.0, abs=0.1)


async def _timed(rate: Rate, faults: Faults, usage: object) -> float:
    model = FaultModel(faults)
    async with ModelClient(model=model, rate=rate, usage=usage) as client:
        for i in range(5):
            await client.post(URL, json=i, cost=100)
        return asyncio.get_running_loop().time()


def test_a_stated_rate_is_learned_from_the_headers() -> None:
    pace = Pace(None)
    pace.on_headers({"x-ratelimit-limit-requests": "600"}, 1.0)
    assert pace.per_s == pytest.approx(10.0)
    declared = Pace(Rate(requests=5, per_s=1))
    declared.on_headers({"x-ratelimit-limit-requests": "600"}, 1.0)
    assert declared.per_s == pytest.approx(5.0)


def test_token_limits_are_learned_from_the_headers() -> None:
    pace = Pace(None)
    pace.on_headers({"x-ratelimit-limit-tokens": "6000"}, 1.0)
    assert pace.tokens_per_s == pytest.approx(100.0)
    assert pace.per_s is None
    pace.on_headers({"x-ratelimit-limit-tokens": "12000"}, 2.0)
    assert pace.tokens_per_s == pytest.approx(200.0)


def test_what_is_declared_is_not_learned_but_the_rest_is() -> None:
    stated = {"x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens": "6000"}
    pace = Pace(Rate(requests=5, per_s=1))
    pace.on_headers(stated, 1.0)
    assert [pace.per_s, pace.tokens_per_s] == pytest.approx([5, 100])
    pace = Pace(Rate(tokens=7, per_s=1))
    pace.on_headers(stated, 1.0)
    assert [pace.per_s, pace.tokens_per_s] == pytest.approx([1, 7])


def test_a_days_quota_is_no_rate() -> None:
    pace = Pace(None)
    pace.on_headers(
        {
            "x-ratelimit-limit-requests": "1440",
            "x-ratelimit-remaining-requests": "1400",
            "x-ratelimit-reset-requests": "40m0s",
        },
        1.0,
    )
    assert not pace.active


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "many", "1e9", "٣", "9" * 400, "9" * 5000]
)
def test_an_unreadable_limit_is_passed_over(text: str) -> None:
    pace = Pace(None)
    pace.on_headers({"x-ratelimit-limit-tokens": text}, 1.0)
    assert not pace.active


def test_what_429s_teach_outlives_what_was_stated() -> None:
    stated = {"x-ratelimit-limit-requests": "600"}
    pace = Pace(None)
    pace.on_headers(stated, 1.0)
    for at in (10.0, 20.0):
        pace.on_429(at, started=at - 0.1)
        pace.taken_in += 52
    pace.on_429(30.0, started=29.9)
    learned = pace.per_s
    assert learned == pytest.approx(51 / 10 * 0.99)
    pace.on_headers(stated, 31.0)
    assert pace.per_s == learned


def test_limits_that_alternate_are_taken_over_once_each() -> None:
    pace = Pace(None)
    for limit in "600", "1200", "600", "1200", "600":
        pace.on_headers({"x-ratelimit-limit-requests": limit}, 1.0)
    assert pace.per_s == pytest.approx(20)


@pytest.mark.parametrize("limiter", ["bucket", "window"])
def test_told_nothing_a_stated_token_limit_is_kept_from_the_first_answer_on(
    limiter: Literal["bucket", "window"],
) -> None:
    async def main(*, states_limits: bool) -> tuple[int, float]:
        faults = Faults(
            latency=Latency(median_s=0.1),
            tokens_per_window=60_000,
            window_s=60,
            limiter=limiter,
            states_limits=states_limits,
        )
        model = FaultModel(faults)
        async with ModelClient(model=model, deadline_s=None, seed=1) as client:

            async def call(i: int) -> None:
                headers = {"X-Cost": "500"}
                await client.post(URL, json=i, cost=500, headers=headers)

            await asyncio.gather(*[call(i) for i in range(400)])
            told = client.stats.tokens_per_s
            assert told == (pytest.approx(1000) if states_limits else None)
        return model.outcomes["429"], asyncio.get_running_loop().time()

    throttled, elapsed_s = run_in_fake_time(main(states_limits=True))
    # What went out before the first answer may overrun the first window by its size.
    assert throttled <= (limiter == "window")
    assert elapsed_s == pytest.approx(400 * 500 / 1000, rel=0.1)
    throttled, _ = run_in_fake_time(main(states_limits=False))
    assert throttled > 0


async def test_the_server_states_its_limits_on_the_wire() -> None:
    faults = Faults(requests_per_window=600, window_s=60, states_limits=True)
    async with FaultServer(faults) as server, AsyncHttpClient(base_url=server.url) as c:
        answers = await asyncio.gather(*[c.get("x") for _ in range(20)])
        assert c.stats.rate_per_s == pytest.approx(10.0)
    left = {int(a.headers["x-ratelimit-remaining-requests"]) for a in answers}
    assert left == set(range(580, 600))


def test_the_server_is_never_overrun_by_a_declared_rate() -> None:
    async def main() -> tuple[int, float]:
        faults = Faults(requests_per_window=100, window_s=1, limiter="bucket")
        model = FaultModel(faults)
        rate = Rate(requests=100, per_s=1)
        async with ModelClient(model=model, rate=rate) as c:
            await asyncio.gather(*[c.post(URL, json=i) for i in range(1000)])
            return model.outcomes["429"], asyncio.get_running_loop().time()

    throttled, elapsed_s = run_in_fake_time(main())
    assert throttled == 0
    assert elapsed_s == pytest.approx(10.0, abs=0.1)
