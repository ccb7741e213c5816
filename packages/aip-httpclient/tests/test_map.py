from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from aip_httpclient import (
    AsyncHttpClient,
    Done,
    Failed,
    InvalidRequest,
    Request,
    Retry,
    StatusRefused,
)
from aip_httpclient.testing import Faults, FaultServer, Latency

FAST = Retry(base_s=0.001)


def requests(n: int) -> Iterator[Request]:
    for i in range(n):
        yield Request(path="x", json=i, idempotent=True, tag=i)


async def test_every_request_comes_back_once() -> None:
    faults = Faults(error_rate=0.1, throttle_rate=0.1, reset_rate=0.05, seed=7)
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        tags = []
        async for done in client.map(requests(200)):
            assert isinstance(done, Done)
            tags.append(done.request.tag)
    assert sorted(tags) == list(range(200))


async def test_ordered_keeps_the_order() -> None:
    faults = Faults(latency=Latency(median_s=0.003, sigma=1.0), seed=1)
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        found = [d.request.tag async for d in client.map(requests(100), ordered=True)]
    assert found == list(range(100))


async def test_an_async_source_is_streamed() -> None:
    async def source() -> AsyncIterator[Request]:
        for request in requests(50):
            await asyncio.sleep(0)
            yield request

    async with FaultServer() as server, AsyncHttpClient(base_url=server.url) as client:
        found = {d.request.tag async for d in client.map(source())}
    assert found == set(range(50))


@pytest.mark.parametrize("ordered", [False, True])
async def test_the_source_is_pulled_only_as_far_as_the_window(ordered: bool) -> None:  # noqa: FBT001  # a parameter of the test
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            pulled += 1
            yield Request(path="x", json=1)

    async with (
        FaultServer() as server,
        AsyncHttpClient(base_url=server.url, concurrency=4) as client,
        aclosing(client.map(endless(), ordered=ordered)) as outcomes,
    ):
        seen = 0
        async for _ in outcomes:
            seen += 1
            await asyncio.sleep(0.002)
            assert pulled <= seen + 2 * 4
            if seen == 40:
                break


async def test_one_bad_item_never_ends_the_run() -> None:
    async def picky(request: web.Request) -> web.Response:
        return web.Response(status=422 if await request.json() == 3 else 200)

    items = [*requests(5), Request(path="x", json=object())]
    async with (
        FaultServer(handler=picky) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        found = [d async for d in client.map(items, ordered=True)]
    kinds = [type(d.error) if isinstance(d, Failed) else None for d in found]
    assert kinds == [None, None, None, StatusRefused, None, InvalidRequest]


async def test_a_failing_source_is_raised_after_what_came_before() -> None:
    def source() -> Iterator[Request]:
        yield from requests(5)
        raise OSError("source broke")

    seen = []

    async def drain(client: AsyncHttpClient) -> None:
        async for outcome in client.map(source()):
            seen.append(outcome)  # noqa: PERF401  # keeps what came before the error

    async with FaultServer() as server, AsyncHttpClient(base_url=server.url) as client:
        with pytest.raises(OSError, match="source broke"):
            await drain(client)
    assert len(seen) == 5


async def test_leaving_early_leaves_nothing_behind() -> None:
    async with (
        FaultServer(Faults(latency=Latency(median_s=0.02))) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        before = len(asyncio.all_tasks())
        async with aclosing(client.map(requests(100))) as outcomes:
            async for _ in outcomes:
                break
        assert client.stats.in_flight == 0
        # The server's tasks end with their connections, a moment later.
        for _ in range(1000):
            if len(asyncio.all_tasks()) <= before:
                break
            await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) <= before


async def test_what_is_no_request_is_handed_back_as_failed() -> None:
    async with FaultServer() as server, AsyncHttpClient(base_url=server.url) as client:
        wrong: list[Any] = [Request(path="x"), "x", None]
        outcomes = [o async for o in client.map(wrong, ordered=True)]
    good, *bad = outcomes
    assert isinstance(good, Done)
    for each in bad:
        assert isinstance(each, Failed)
        assert isinstance(each.error, InvalidRequest)
        assert "map takes Request objects" in str(each.error)
