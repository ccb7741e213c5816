"""Requests sent at once to a server of known capacity: the naive way and ours."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aip_httpclient.testing import FaultServer

# The server of the claims: 500 at once at 95.4 a second is 5.24 s each.
CAPACITY, SERVICE_S = 500, 500 / 95.4
# A tenth of it, for tests: the shares stay the same.
QUICK_CAPACITY, QUICK_SERVICE_S = 50, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How many requests it carries at once, and how long each takes; the rest get 503.

    Args:
        capacity: requests worked on at once.
        service_s: median seconds of each.
    """

    capacity: int
    service_s: float

    @property
    def ceiling_per_s(self) -> float:
        """The most it can do, by Little's law: what is inside over its stay."""
        return self.capacity / self.service_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What became of *sent* requests.

    Args:
        at_once: how many might be on the wire at a time.
        sent: how many there were.
        succeeded: how many were answered with 200.
        seconds: from the first request to the last answer.
    """

    at_once: int
    sent: int
    succeeded: int
    seconds: float

    @property
    def success_percent(self) -> float:
        """The share that succeeded."""
        return 100 * self.succeeded / self.sent

    @property
    def per_s(self) -> float:
        """Successes a second."""
        return self.succeeded / self.seconds


def naive(server: Server, *, sent: int, at_once: int | None = None) -> Wave:
    """Send everything with gather, behind a semaphore of *at_once* if there is one."""
    return asyncio.run(_naive(server, sent, at_once))


def ours(
    server: Server, *, sent: int, concurrency: int | Literal["adaptive"]
) -> tuple[Wave, float]:
    """Send everything with the platform's client; give its last limit as well."""
    return asyncio.run(_ours(server, sent, concurrency))


async def _naive(server: Server, sent: int, at_once: int | None) -> Wave:
    import aiohttp

    gate = asyncio.Semaphore(at_once) if at_once else nullcontext()

    async def one(session: aiohttp.ClientSession, url: str) -> bool:
        async with gate:
            try:
                async with session.get(url) as response:
                    await response.read()
                    return response.ok
            except aiohttp.ClientError:
                return False

    clock = asyncio.get_running_loop().time
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        _fault_server(server) as there,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        start = clock()
        answers = await asyncio.gather(*(one(session, there.url) for _ in range(sent)))
        seconds = clock() - start
    return Wave(
        at_once=at_once or sent, sent=sent, succeeded=sum(answers), seconds=seconds
    )


async def _ours(
    server: Server, sent: int, concurrency: int | Literal["adaptive"]
) -> tuple[Wave, float]:
    from aip_httpclient import AsyncHttpClient, Done, Request

    clock = asyncio.get_running_loop().time
    succeeded = 0
    async with (
        _fault_server(server) as there,
        AsyncHttpClient(base_url=there.url, concurrency=concurrency) as client,
    ):
        start = clock()
        requests = (Request(method="GET", path="x") for _ in range(sent))
        async for outcome in client.map(requests):
            succeeded += isinstance(outcome, Done)
        seconds = clock() - start
        limit = client.stats.limit
    at_once = round(limit)
    return (
        Wave(at_once=at_once, sent=sent, succeeded=succeeded, seconds=seconds),
        limit,
    )


def _fault_server(server: Server) -> FaultServer:
    from aip_httpclient.testing import Faults, FaultServer, Latency

    latency = Latency(median_s=server.service_s, sigma=0.02)
    return FaultServer(Faults(capacity=server.capacity, latency=latency))
