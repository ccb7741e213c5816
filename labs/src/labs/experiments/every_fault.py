"""Lab 2.4: every fault of the fault server, met by a loop, a recipe and the client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs import Chart, Finding, Row, Series, Table, Way, experiment, verdict_of

if TYPE_CHECKING:
    from aip_httpclient.testing import Faults, FaultServer

CALLS, QUICK_CALLS = 400, 120
CONCURRENCY = 16
ATTEMPT_TIMEOUT_S = 1.0
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one way got out of a server.

    Args:
        answered: calls that ended with the answer, of those made.
        calls: calls made.
        twice: calls whose work was done more than once although the answer came.
        seconds: from the first call to the last answer.
    """

    answered: int
    calls: int
    twice: int
    seconds: float

    @property
    def percent(self) -> float:
        """The share answered."""
        return 100 * self.answered / self.calls


def faults_by_name() -> dict[str, Faults]:
    """Give every fault of the fault server, one at a time, then many together."""
    from aip_httpclient.testing import Brownout, Faults, Latency

    brief = Latency(median_s=0.005, sigma=0.5)
    return {
        "nothing wrong": Faults(latency=brief),
        "10 % are 500": Faults(latency=brief, error_rate=0.1),
        "10 % are 429": Faults(latency=brief, throttle_rate=0.1, retry_after_s=0.1),
        "100 a second, then 429": Faults(latency=brief, requests_per_window=100),
        "8 at once, then 503": Faults(latency=brief, capacity=8),
        "5 % reset before the work": Faults(latency=brief, reset_rate=0.05),
        "5 % reset after the work": Faults(latency=brief, reset_after_rate=0.05),
        "2 % never answer": Faults(latency=brief, hang_rate=0.02),
        "a brownout of 1 s": Faults(
            latency=brief, brownouts=(Brownout(start_s=0.02, end_s=1.02),)
        ),
        "all of it": Faults(
            latency=brief,
            capacity=12,
            error_rate=0.05,
            throttle_rate=0.05,
            retry_after_s=0.1,
            reset_rate=0.03,
            reset_after_rate=0.02,
            hang_rate=0.01,
        ),
    }


async def with_a_loop(url: str, calls: int, tries: int = 1) -> int:
    """Call with a semaphore and a timeout, and try again a few times, as one does."""
    import aiohttp

    gate = asyncio.Semaphore(CONCURRENCY)
    timeout = aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S)

    async def one(session: aiohttp.ClientSession) -> bool:
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(0.1 * 2**attempt)
            try:
                async with gate, session.post(url, json={}) as response:
                    await response.read()
                    if response.ok:
                        return True
            except (aiohttp.ClientError, TimeoutError):
                continue
        return False

    async with aiohttp.ClientSession(timeout=timeout) as session:
        return sum(await asyncio.gather(*(one(session) for _ in range(calls))))


async def with_a_recipe(url: str, calls: int) -> int:
    """Do the same with three tries."""
    return await with_a_loop(url, calls, tries=TRIES)


async def with_the_client(url: str, calls: int) -> int:
    """Call with the platform; a key for each call makes repeats safe."""
    from aip_httpclient import AsyncHttpClient, Done, Request

    requests = (
        Request(path="x", json={}, idempotency_key=f"lab-{n}") for n in range(calls)
    )
    done = 0
    async with AsyncHttpClient(
        base_url=url, concurrency=CONCURRENCY, attempt_timeout_s=ATTEMPT_TIMEOUT_S
    ) as client:
        async for outcome in client.map(requests):
            done += isinstance(outcome, Done)
    return done


Way_ = Callable[[str, int], Awaitable[int]]


def meet(way: Way_, faults: Faults, calls: int) -> Outcome:
    """Run one way against a server with these faults."""
    return asyncio.run(_meet(way, faults, calls))


async def _meet(way: Way_, faults: Faults, calls: int) -> Outcome:
    from aip_httpclient.testing import FaultServer

    async with FaultServer(faults) as server:
        start = time.perf_counter()
        answered = await way(server.url, calls)
        seconds = time.perf_counter() - start
        twice = _twice(server) if not faults.reset_after_rate else 0
    return Outcome(answered=answered, calls=calls, twice=twice, seconds=seconds)


def _twice(server: FaultServer) -> int:
    """Count calls worked on again, where no answer was ever lost on the way."""
    return sum(times > 1 for key, times in server.worked.items() if key)


@experiment(
    "2.4",
    title="Every fault of the fault server, met",
    question="What does a client have to do so that no call is lost?",
    hypothesis=(
        "A loop loses what the server refuses; three tries lose what is refused three "
        "times, which is much when the server is out for a second. Telling refusals, "
        "failures and outages apart loses nothing."
    ),
    claim="every call answered under every fault, and no work done twice",
    explanation="""
        500 and a reset may have done the work: they are repeated a bounded number of
        times, under the call's idempotency key. 429 and 503 did none: they cost time,
        never an attempt, and the server says how long. A hanging call is ended by its
        own timeout. When nothing gets through, all calls wait behind one gate and a
        probe instead of spending their attempts one by one.""",
    production="""
        The HTTP embedder of the pipeline has no retry of its own: this is the one retry
        layer of the platform. stats says what was retried and why.""",
)
def lab(quick: bool) -> Finding:
    """Meet each fault three ways."""
    calls = QUICK_CALLS if quick else CALLS
    rows, percents = [], []
    for name, faults in faults_by_name().items():
        loop, recipe, client = (
            meet(way, faults, calls)
            for way in (with_a_loop, with_a_recipe, with_the_client)
        )
        percents.append((loop.percent, recipe.percent, client.percent))
        rows.append(
            Row(
                work=name,
                reference=f"loop {loop.percent:.0f} %, 3 tries {recipe.percent:.0f} %",
                bar="100 %, none twice",
                measured=(
                    f"{client.percent:.0f} %, {client.twice} twice, "
                    f"{client.seconds:.1f} s"
                ),
                met=client.percent == 100 and client.twice == 0,  # noqa: PLR2004  # %
            )
        )
    met = sum(bool(row.met) for row in rows)
    lost = 100 - sum(percent[1] for percent in percents) / len(percents)
    return Finding(
        measured=(
            f"{met} of {len(rows)} servers: every call answered, no work done twice; "
            f"three tries lose {lost:.1f} % on average"
        ),
        verdict=verdict_of(rows),
        broken=Way(name="a loop with three tries", code="for attempt in range(3): ..."),
        right=Way(
            name="the client", code="async for outcome in client.map(requests): ..."
        ),
        tables=(Table(title=f"{calls} calls each", rows=tuple(rows)),),
        charts=(_chart([row.work for row in rows], percents),),
    )


def _chart(names: list[str], percents: list[tuple[float, float, float]]) -> Chart:
    labels = "a loop", "three tries", "the client"
    columns = zip(*percents, strict=True)
    return Chart(
        title="Calls answered",
        x="what is wrong with the server",
        y="%",
        series=tuple(
            Series(label=label, xs=names, ys=column)
            for label, column in zip(labels, columns, strict=True)
        ),
    )
