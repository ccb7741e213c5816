"""A thousand seeded fault schedules in virtual time; a failing seed replays alone."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from random import Random

import pytest

from aip_httpclient import AsyncHttpClient, CallError, Hedge, Rate, Retry
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    Latency,
    ModelClient,
    run_in_fake_time,
)

SEEDS = 1000
BLOCK = 50
CALLS = 16


def schedule(seed: int) -> Faults:
    """Draw a server that has something of everything wrong with it."""
    draw = Random(seed)
    starts = [draw.uniform(0, 20) for _ in range(draw.randint(0, 2))]
    return Faults(
        seed=seed,
        latency=Latency(median_s=draw.uniform(0.01, 1), sigma=draw.uniform(0, 0.6)),
        capacity=draw.choice([None, 1, 3, 10]),
        queue=draw.randint(0, 5),
        overload=draw.choice(["shed", "hang", "slow", "collapse"]),
        requests_per_window=draw.choice([None, 5, 40]),
        tokens_per_window=draw.choice([None, 300]),
        window_s=draw.choice([1, 10]),
        limiter=draw.choice(["window", "bucket"]),
        throttle_rate=draw.choice([0, 0, 0.3]),
        retry_after_s=draw.choice([None, 0, 3]),
        error_rate=draw.choice([0, 0.05, 0.4]),
        error_status=draw.choice([400, 408, 500, 502, 504]),
        reset_rate=draw.choice([0, 0.1]),
        reset_after_rate=draw.choice([0, 0.1]),
        hang_rate=draw.choice([0, 0.05]),
        straggler_rate=draw.choice([0, 0.1]),
        brownouts=tuple(
            Brownout(
                start_s=start,
                end_s=start + draw.expovariate(0.2),
                status=draw.choice([None, 429, 500, 503]),
                share=draw.choice([0.5, 1]),
            )
            for start in starts
        ),
    )


def client_for(seed: int, model: FaultModel) -> AsyncHttpClient:
    draw = Random(-seed)
    return ModelClient(
        model=model,
        seed=seed,
        concurrency=draw.choice(["adaptive", 1, 4]),
        rate=draw.choice([None, Rate(requests=50, tokens=3000, per_s=10)]),
        attempt_timeout_s=draw.choice([2, 30]),
        adaptive_timeout=draw.random() < 0.3,
        deadline_s=draw.choice([5, 120, None]),
        queue_timeout_s=draw.choice([None, None, 30]),
        retry=Retry(attempts=draw.randint(1, 6)),
        hedge=Hedge(quantile=0.5, budget_ratio=0.5) if draw.random() < 0.3 else None,
    )


async def run(seed: int) -> tuple[float, Counter[str]]:
    """Make calls, cancel some, and look for anything lost, doubled or left over.

    Returns when it ended, and what the server did: the same for the same seed.
    """
    draw = Random(seed)
    model = FaultModel(schedule(seed))
    cancelled: set[int] = set()
    failed: list[CallError] = []
    before = len(asyncio.all_tasks())
    async with client_for(seed, model) as client:

        async def call(i: int) -> bool:
            try:
                await client.post(
                    "http://model/",
                    json=i,
                    cost=10,
                    headers={"X-Cost": "10"},
                    idempotency_key=str(i),
                )
            except CallError as error:
                failed.append(error)
                return False
            return True

        tasks = [asyncio.create_task(call(i)) for i in range(CALLS)]
        for i in draw.sample(range(CALLS), 3):
            await asyncio.sleep(draw.uniform(0, 1))
            if tasks[i].cancel():
                cancelled.add(i)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        stats = client.stats
        assert (stats.in_flight, stats.queued) == (0, 0)
        assert all(min(e.attempts, 32) == len(e.history) for e in failed)
        assert stats.sent >= model.arrived
    for i, result in enumerate(ended):
        if isinstance(result, asyncio.CancelledError):
            assert i in cancelled
        elif isinstance(result, BaseException):
            raise result
        elif result:
            assert model.worked[str(i)] >= 1, f"call {i} was answered, but not done"
    assert len(asyncio.all_tasks()) == before
    return asyncio.get_running_loop().time(), model.outcomes


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_schedule_loses_doubles_or_leaks(
    first: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    for seed in range(first, first + BLOCK):
        try:
            run_in_fake_time(asyncio.wait_for(run(seed), 86_400))
        except BaseException as error:
            error.add_note(f"seed {seed}: run_in_fake_time(run({seed})) replays it")
            raise


def test_a_seed_repeats_its_schedule() -> None:
    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_replays_its_run_to_the_last_request(seed: int) -> None:
    assert run_in_fake_time(run(seed)) == run_in_fake_time(run(seed))
