"""Benches race, million and cancel: what goes wrong in the long run."""

from __future__ import annotations

import asyncio
import gc
import math
import random
from collections.abc import Iterator
from pathlib import Path

from aip_httpclient import AsyncHttpClient, Done, HttpClientError, Request, Retry
from aip_httpclient.testing import Faults, Latency
from labs._form import Form
from labs._measure import MIB, fresh, peak_bytes
from labs._result import Row
from labs.experiments.http._server import serving

IDLE_S = 0.05
WIDE = 500


def race(form: Form) -> tuple[Row, ...]:
    """Call just when the server gives an idle connection up."""
    calls = form.pick(quick=40, whole=600)
    failed, raced = asyncio.run(_race(calls))
    return (
        Row(
            work=f"keep-alive race, {calls} POSTs at the server's idle limit",
            reference="4 to 5 % of POSTs fail",
            bar="0 failed",
            measured=f"{failed} failed, {raced} raced",
            met=failed == 0,
        ),
    )


async def _race(calls: int) -> tuple[int, int]:
    failed = 0
    async with (
        serving("idle", IDLE_S) as server,
        AsyncHttpClient(base_url=server.url, retry=Retry(attempts=1)) as client,
    ):
        jitter = random.Random(1)
        for number in range(calls):
            try:
                await client.post("x", json=number, idempotent=True)
            except HttpClientError:
                failed += 1
            await asyncio.sleep(IDLE_S + jitter.uniform(-0.001, 0.001))
        return failed, client.stats.retries


def million(form: Form) -> tuple[Row, ...]:
    """Stream calls through `map` and watch the memory."""
    few = form.pick(quick=500, whole=10_000)
    all_ = form.pick(quick=2000, brief=100_000, whole=1_000_000)
    most_grown = form.pick(quick=math.inf, whole=2)
    small = fresh(stream, few).value
    large = fresh(stream, all_).value
    over = (large["peak"] - large["idle"]) / MIB
    grown = (large["peak"] - small["peak"]) / MIB
    return (
        Row(
            work=f"{all_:,} calls through map, c = {WIDE}",
            reference="gather: 1.3 GB",
            bar="<= 8 MiB over the idle client, flat from 10k",
            measured=(
                f"{over:.1f} MiB over the idle client, {grown:+.1f} MiB from "
                f"{few:,} to {all_:,}; {large['good']:,.0f} good"
            ),
            met=large["good"] == all_ and over <= 8 and grown <= most_grown,  # noqa: PLR2004  # the bar
        ),
    )


def stream(calls: int) -> dict[str, float]:
    """Send *calls* in this process; peak memory before and after, in bytes."""
    return asyncio.run(_stream(calls))


def _requests(calls: int) -> Iterator[Request]:
    for number in range(calls):
        yield Request(path="x", json={"n": number})


async def _stream(calls: int) -> dict[str, float]:
    good = 0
    async with (
        serving("plain", None) as server,
        AsyncHttpClient(base_url=server.url, concurrency=WIDE) as client,
    ):
        # Idle: opened, its connections made, nothing more.
        await asyncio.gather(*[client.post("x", json=n) for n in range(WIDE)])
        idle = peak_bytes()
        async for outcome in client.map(_requests(calls)):
            good += isinstance(outcome, Done)
    return {"good": good, "idle": idle, "peak": peak_bytes()}


def cancel(form: Form) -> tuple[Row, ...]:
    """Cancel calls at random moments; count what is left."""
    calls = form.pick(quick=300, whole=10_000)
    slots, tasks, connections = asyncio.run(_cancel(calls))
    return (
        Row(
            work=f"{calls:,} random cancellations",
            reference="leaks",
            bar="0 slots, 0 connections, 0 tasks left",
            measured=f"{slots} slots, {connections} connections, {tasks} tasks left",
            met=(slots, tasks, connections) == (0, 0, 0),
        ),
    )


UNRULY = Faults(
    latency=Latency(median_s=0.005, sigma=1.0),
    capacity=50,
    error_rate=0.1,
    throttle_rate=0.05,
    reset_rate=0.05,
    hang_rate=0.02,
    seed=1,
)


async def _cancel(calls: int) -> tuple[int, int, int]:
    async with serving("faults", UNRULY) as server:
        before, files = len(asyncio.all_tasks()), _open_files()
        async with AsyncHttpClient(
            base_url=server.url, retry=Retry(base_s=0.005), attempt_timeout_s=0.2
        ) as client:
            await _cut(client, calls)
            stats = client.stats
            slots = stats.in_flight + stats.queued
            tasks = len(asyncio.all_tasks()) - before
            gc.collect()
            # With every slot free again, as many calls as before still go through.
            await asyncio.gather(*[client.get("x") for _ in range(50)])
            slots += client.stats.in_flight
        await asyncio.sleep(0.1)
        return slots, max(0, tasks), _open_files() - files


async def _cut(client: AsyncHttpClient, calls: int) -> None:
    """Cancel each of *calls* after a moment, a hundred of them at a time."""
    jitter, left = random.Random(2), iter(range(calls))

    async def worker() -> None:
        for number in left:
            call = asyncio.create_task(client.post("x", json=number, idempotent=True))
            await asyncio.sleep(jitter.expovariate(100.0))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    await asyncio.gather(*[worker() for _ in range(100)])


def _open_files() -> int:
    """Count what this process has open: a connection left is a socket left."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
