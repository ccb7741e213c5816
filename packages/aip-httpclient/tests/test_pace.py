from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings, strategies as st

from aip_httpclient import Rate, Response
from aip_httpclient._pace import Pace
from aip_httpclient.testing import FaultModel, Faults, ModelClient, run_in_fake_time

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
