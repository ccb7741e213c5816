"""An outage is seen however the server fails, and told from a call's own misfortune."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from aip_httpclient import AsyncHttpClient, CallError, Event, Retry
from aip_httpclient._gate import Gate
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    Latency,
    ModelClient,
    run_in_fake_time,
)

URL = "http://model/"
HEALTHY = Faults(latency=Latency(median_s=0.25), capacity=100)
START_S, END_S = 4.0, 9.0


async def crowd(client: AsyncHttpClient, n: int) -> int:
    async def one(i: int) -> bool:
        try:
            await client.post(URL, json=i, idempotency_key=str(i))
        except CallError:
            return False
        return True

    return sum(await asyncio.gather(*[one(i) for i in range(n)]))


def through(faults: Faults) -> tuple[int, list[Event], float]:
    """Call through an outage; hangs begin and end with it."""
    events: list[Event] = []
    model = FaultModel(HEALTHY)

    async def main() -> tuple[int, float]:
        client = ModelClient(
            model=model, on_event=events.append, attempt_timeout_s=1.0, seed=1
        )
        async with client:
            loop = asyncio.get_running_loop()
            loop.call_at(START_S, setattr, model, "faults", faults)
            loop.call_at(END_S, setattr, model, "faults", HEALTHY)
            return await crowd(client, 3000), loop.time()

    good, elapsed_s = run_in_fake_time(main())
    return good, events, elapsed_s


@pytest.mark.parametrize(
    "how",
    [
        {"error_rate": 1.0},
        {"error_rate": 1.0, "error_status": 502},
        {"error_rate": 1.0, "error_status": 504, "latency": None},
        {"reset_rate": 1.0},
        {"reset_after_rate": 0.5, "error_rate": 0.5},
        {"hang_rate": 1.0},
    ],
    ids="-".join,
)
def test_an_outage_of_any_kind_shuts_the_gate(how: dict[str, float]) -> None:
    good, events, elapsed_s = through(replace(HEALTHY, **how))  # type: ignore[arg-type]  # the values are typed
    assert good == 3000
    (outage,) = [e for e in events if e.kind == "outage"]
    (back,) = [e for e in events if e.kind == "recovered"]
    before = max(e.limit for e in events if e.kind == "sent" and 3.7 < e.at_s < START_S)
    # Known after two round trips; a hang only after the attempt timeout.
    assert outage.at_s < START_S + (0.6 if "hang_rate" not in how else 1.4)
    assert back.at_s < END_S + 1.6
    sent = [e for e in events if e.kind == "sent"]
    wasted = [e for e in sent if START_S <= e.at_s < END_S]
    rounds = 2 if "hang_rate" in how else 3
    assert len(wasted) <= rounds * before + 15
    probes = [e.at_s for e in sent if outage.at_s < e.at_s < back.at_s]
    apart = [b - a for a, b in pairwise(probes)]
    assert all(each >= 0.1 for each in apart)
    assert elapsed_s < 10 + (END_S - START_S) + 4


def test_requests_that_only_ask_whether_it_is_over_are_told_apart() -> None:
    model = FaultModel(HEALTHY)
    seen: dict[float, tuple[int, int]] = {}

    async def main() -> int:
        client = ModelClient(model=model, attempt_timeout_s=60.0, seed=1)
        async with client:
            loop = asyncio.get_running_loop()

            def look() -> None:
                stats = client.stats
                seen[loop.time()] = stats.in_flight, stats.probes

            refusing = replace(HEALTHY, error_rate=1.0, error_status=503)
            hanging = replace(HEALTHY, hang_rate=1.0)
            for at_s, faults in ((4, refusing), (6, hanging), (9, HEALTHY)):
                loop.call_at(at_s, setattr, model, "faults", faults)
            for at_s in (3, 8, 11):
                loop.call_at(at_s, look)
            return await crowd(client, 3000)

    assert run_in_fake_time(main()) == 3000
    well, down, well_again = (seen[at_s] for at_s in (3, 8, 11))
    assert (well[0] > 0, well[1]) == (True, 0)
    assert down[0] == down[1] > 1, "none was answered, and nothing else is under way"
    assert (well_again[0] > 0, well_again[1]) == (True, 0)


def test_a_probe_that_hangs_does_not_hold_up_the_next() -> None:
    events: list[Event] = []
    model = FaultModel(HEALTHY)

    async def main() -> int:
        client = ModelClient(
            model=model, on_event=events.append, attempt_timeout_s=300.0, seed=1
        )
        async with client:
            loop = asyncio.get_running_loop()
            refusing = replace(HEALTHY, error_rate=1.0, error_status=503)
            hanging = replace(HEALTHY, hang_rate=1.0)
            for at_s, faults in ((4, refusing), (6, hanging), (9, HEALTHY)):
                loop.call_at(at_s, setattr, model, "faults", faults)
            return await crowd(client, 3000)

    assert run_in_fake_time(main()) == 3000
    (back,) = [e for e in events if e.kind == "recovered"]
    assert back.at_s < 9 + 1.5
    probes = [e.at_s for e in events if e.kind == "sent" and 6 < e.at_s < back.at_s]
    assert all(0.1 <= b - a <= 1.0 for a, b in pairwise(probes))


def test_no_more_than_sixteen_probes_are_left_unanswered() -> None:
    gate = Gate(Random(1))
    for at_s in (0.0, 0.1, 0.2, 0.5, 0.6):
        gate.on_failure(at_s, started=at_s, srtt_s=0.2, limit=10)
    assert gate.down
    sent = 0
    while gate.until < math.inf:
        assert gate.ready(gate.until)
        gate.on_probe(gate.until)
        sent += 1
    assert sent == 16
    gate.end_probe(100.0, started=0.9)  # one of them
    assert gate.until < 101.0
    gate.on_probe(gate.until)
    assert gate.until == math.inf


@pytest.mark.parametrize("concurrency", [1, 50])
def test_errors_among_answers_are_no_outage(concurrency: int) -> None:
    events: list[Event] = []

    async def main() -> int:
        faults = replace(HEALTHY, error_rate=0.2, reset_rate=0.05, seed=1)
        client = ModelClient(
            model=FaultModel(faults),
            concurrency=concurrency,
            on_event=events.append,
            retry=Retry(attempts=12),
            seed=1,
        )
        async with client:
            return await crowd(client, 400)

    assert run_in_fake_time(main()) == 400
    assert not [e for e in events if e.kind == "outage"]


def test_a_server_that_never_worked_costs_each_call_its_attempts_and_no_more() -> None:
    async def main() -> tuple[int, int, float]:
        model = FaultModel(Faults(error_rate=1.0))
        async with ModelClient(model=model, retry=Retry(attempts=3), seed=1) as client:
            good = await crowd(client, 100)
            return good, model.arrived, asyncio.get_running_loop().time()

    good, arrived, elapsed_s = run_in_fake_time(main())
    assert (good, arrived) == (0, 300)
    assert elapsed_s < 60


def test_a_refusal_of_its_own_is_a_sign_of_life() -> None:
    events: list[Event] = []

    async def main() -> None:
        model = FaultModel(HEALTHY)
        client = ModelClient(model=model, on_event=events.append, seed=1)
        async with client:
            assert await crowd(client, 10) == 10
            bad = Brownout(start_s=0, end_s=60, status=404)
            model.faults = Faults(brownouts=(bad,))
            assert await crowd(client, 100) == 0

    run_in_fake_time(main())
    assert not [e for e in events if e.kind == "outage"]
