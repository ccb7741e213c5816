"""Bench cpu: what a small JSON POST costs, beside the bare session."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp

from labs._form import Form
from labs._measure import fresh
from labs._result import Row, number
from labs.experiments.http._peers import Peers
from labs.experiments.http._server import serving

BODY: dict[str, Any] = {"model": "m", "input": ["hello world"] * 4}
BARS = {(50, False): 0.97, (500, False): 0.95, (50, True): 1.0, (500, True): 1.0}
PATH = "v1/embeddings"

Post = Callable[[], Awaitable[object]]


def cpu(form: Form) -> tuple[Row, ...]:
    """Compare processor time per call, each side in turn in one process.

    Two processes of the same code differ by more than the bars: memory lies elsewhere.
    """
    calls, rounds = form.pick(quick=(200, 1), brief=(3000, 5), whole=(3000, 5))
    processes = form.pick(quick=1, brief=1, whole=7)
    widths = form.pick(quick=(50,), whole=(50, 500))
    rows = [
        _row(c, calls, rounds, processes=processes, fast=fast)
        for c, fast in BARS
        if c in widths
    ]
    if form is Form.QUICK:
        # A few hundred calls judge nothing.
        return tuple(replace(row, met=None) for row in rows)
    peers = Peers.find()
    if peers is not None:
        rows += [_peer_row(peers, c, calls, 3) for c in widths]
    return tuple(rows)


def _row(
    concurrency: int, calls: int, rounds: int, *, processes: int, fast: bool
) -> Row:
    """Take the median of all turns of several processes."""
    turns = [
        turn
        for _ in range(processes)
        for turn in fresh(measure, concurrency, calls, rounds, fast=fast).value
    ]
    found = _compared(turns)
    bar = BARS[concurrency, fast]
    json = "[fast]: orjson" if fast else "stdlib json"
    return Row(
        work=f"CPU per POST, c = {concurrency}, {json}",
        reference=f"bare session.post(json=...): {found['bare_us']:.0f} us",
        bar=f"bare / ours >= {bar:.2f}",
        measured=(
            f"{found['ratio']:.3f} (quartiles {found['low']:.3f} to "
            f"{found['high']:.3f}), {found['ours_us']:.0f} us"
        ),
        met=found["ratio"] >= bar,
    )


def _peer_row(peers: Peers, concurrency: int, calls: int, rounds: int) -> Row:
    async def ask() -> dict[str, float]:
        async with serving("plain", None) as server:
            told: dict[str, float] = await peers.run(
                "cpu", server.url, concurrency, calls, rounds
            )
            return told

    found = asyncio.run(ask())
    said = ", ".join(f"{name} {number(ratio)}" for name, ratio in found.items())
    return Row(
        work=f"the same for others, c = {concurrency}",
        reference="bare session.post in the same run",
        bar="-",
        measured=said,
        met=None,
    )


def measure(
    concurrency: int, calls: int, rounds: int, *, fast: bool
) -> list[tuple[float, float]]:
    """Run both sides in turn in this process: each turn's microseconds a call."""
    if not fast:
        # What an installation without the extra would find.
        sys.modules["orjson"] = None  # type: ignore[assignment]  # import's own way to say so
    return asyncio.run(_measure(concurrency, calls, rounds))


async def _measure(
    concurrency: int, calls: int, rounds: int
) -> list[tuple[float, float]]:
    from aip_httpclient import AsyncHttpClient  # after orjson is decided

    async with (
        serving("plain", None) as server,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency)
        ) as session,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        url = f"{server.url}/{PATH}"

        async def bare() -> None:
            async with session.post(url, json=BODY) as response:
                await response.json()

        async def ours() -> None:
            (await client.post(PATH, json=BODY)).json()

        sides: tuple[tuple[str, Post], ...] = (("bare", bare), ("ours", ours))
        cost: dict[str, list[float]] = {"bare": [], "ours": []}
        for turn in range(rounds + 1):
            for name, post in sides if turn % 2 else sides[::-1]:
                cost[name].append(await _drive(post, calls, concurrency))
    return list(zip(cost["bare"][1:], cost["ours"][1:], strict=True))


def _compared(turns: list[tuple[float, float]]) -> dict[str, float]:
    ratios = sorted(bare / ours for bare, ours in turns)
    return {
        "bare_us": statistics.median(bare for bare, _ in turns),
        "ours_us": statistics.median(ours for _, ours in turns),
        "ratio": statistics.median(ratios),
        "low": ratios[len(ratios) // 4],
        "high": ratios[-1 - len(ratios) // 4],
    }


async def _drive(post: Post, calls: int, concurrency: int) -> float:
    """Return the processor time per call in microseconds."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await post()

    started = time.process_time()
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    return (time.process_time() - started) / calls * 1e6
