"""Lab 2.4: every fault of the fault server, met by a loop, the client and its peers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs import (
    Cell,
    Chart,
    Comparison,
    Finding,
    Form,
    Series,
    Way,
    experiment,
    verdict_of_cells,
)

if TYPE_CHECKING:
    from aip_httpclient.testing import Faults, FaultServer
    from labs.experiments.http._peers import Peers

CALLS, QUICK_CALLS = 400, 120
CONCURRENCY = 16
ATTEMPT_TIMEOUT_S = 1.0
TRIES = 3
# The places of our ways among all; the peers come after them.
CLIENT, LOOP, THREE_TRIES = 0, 1, 2
# Six attempts each, with the backoff that their documentation shows.
PEERS = ("tenacity", "stamina", "aiohttp-retry", "httpx-retries", "openai")


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

    @property
    def cell(self) -> Cell:
        """The same, judged: every call answered, no work done twice."""
        twice = f", {self.twice} twice" if self.twice else ""
        return Cell(
            text=f"{self.percent:.4g} %{twice}, {self.seconds:.1f} s",
            met=self.answered == self.calls and not self.twice,
        )


def faults_by_name(*, slow: bool) -> dict[str, Faults]:
    """Give every fault of the fault server, one at a time, then many together."""
    from aip_httpclient.testing import Brownout, Faults, Latency

    brief = Latency(median_s=0.005, sigma=0.5)
    # What a server says of one call, the client takes as said to all of them.
    wait = Faults(latency=brief, throttle_rate=0.1, retry_after_s=1.0)
    waits = {"10 % are 429, wait 1 s": wait} if slow else {}
    return waits | {
        "nothing wrong": Faults(latency=brief),
        "10 % are 500": Faults(latency=brief, error_rate=0.1),
        "10 % are 429": Faults(latency=brief, throttle_rate=0.1),
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


def with_a_peer(peers: Peers, name: str) -> Way_:
    """Call with a peer, in a process of its own."""

    async def way(url: str, calls: int) -> int:
        told = await peers.run("many", url, name, calls, CONCURRENCY)
        return int(told["good"])

    return way


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
def lab(form: Form) -> Finding:
    """Meet each fault in every way; the peers in the whole form only."""
    calls = form.pick(quick=QUICK_CALLS, whole=CALLS)
    ways, notes = _ways(form)
    met = _meet_all(ways, calls, form=form)
    rows = tuple(
        (name, "100 %, none twice", tuple(each.cell for each in outcomes))
        for name, outcomes in met.items()
    )
    comparison = Comparison(title=f"{calls} calls each", sides=tuple(ways), rows=rows)
    return Finding(
        measured=_summary(comparison, met),
        verdict=verdict_of_cells([cells[CLIENT] for _, _, cells in rows]),
        broken=Way(name="a loop with three tries", code="for attempt in range(3): ..."),
        right=Way(
            name="the client", code="async for outcome in client.map(requests): ..."
        ),
        comparisons=(comparison,),
        charts=(_chart(met),),
        notes=notes,
    )


def _ways(form: Form) -> tuple[dict[str, Way_], tuple[str, ...]]:
    """Give the ways to call, ours first, and what to say of them."""
    ways: dict[str, Way_] = {
        "the client": with_the_client,
        "a loop": with_a_loop,
        "three tries": with_a_recipe,
    }
    if form is Form.QUICK:
        return ways, ()
    theirs, note = _peers()
    return ways | theirs, (note,)


def _peers() -> tuple[dict[str, Way_], str]:
    """Give the peers' ways, and what to say of them."""
    from labs.experiments.http._peers import WANTED, Peers

    peers = Peers.find()
    if peers is None:
        return {}, "The peers were not measured: uv could not install them."
    told = f"Peers, each with six attempts, in their own processes: {', '.join(WANTED)}"
    return {name: with_a_peer(peers, name) for name in PEERS}, told


def _meet_all(
    ways: Mapping[str, Way_], calls: int, *, form: Form
) -> dict[str, list[Outcome]]:
    """Give the outcomes of all ways, by the name of what is wrong with the server."""
    servers = faults_by_name(slow=form is not Form.QUICK)

    def outcomes_of(faults: Faults) -> list[Outcome]:
        return [meet(way, faults, calls) for way in ways.values()]

    # They wait, mostly, and no time is judged: several at once.
    with ThreadPoolExecutor(form.pick(quick=4, whole=2)) as pool:
        return dict(zip(servers, pool.map(outcomes_of, servers.values()), strict=True))


def _summary(comparison: Comparison, met: Mapping[str, Sequence[Outcome]]) -> str:
    """Say what the client came through, what three tries lost, how the peers fared."""
    recipe = [outcomes[THREE_TRIES].percent for outcomes in met.values()]
    lost = 100 - sum(recipe) / len(recipe)
    others = "; ".join(
        f"{name} {comparison.passed(at)}"
        for at, name in enumerate(comparison.sides)
        if at > THREE_TRIES
    )
    return (
        f"{comparison.passed(CLIENT)} of {len(met)} servers: every call answered, no "
        f"work done twice; three tries lose {lost:.1f} % on average"
        + (f". Servers that the peers came through: {others}" if others else "")
    )


def _chart(met: Mapping[str, Sequence[Outcome]]) -> Chart:
    ways = ("a loop", LOOP), ("three tries", THREE_TRIES), ("the client", CLIENT)
    return Chart(
        title="Calls answered",
        x="what is wrong with the server",
        y="%",
        series=tuple(
            Series(
                label=label,
                xs=list(met),
                ys=[outcomes[at].percent for outcomes in met.values()],
            )
            for label, at in ways
        ),
    )
