from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from aip_httpclient import CallError
from aip_httpclient.testing import (
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)
from aip_httpclient.testing._faults import Overload


async def fates(seed: int) -> list[int]:
    faults = Faults(seed=seed, error_rate=0.3, throttle_rate=0.3)
    async with FaultServer(faults) as server, aiohttp.ClientSession() as session:
        found = []
        for _ in range(40):
            async with session.post(server.url) as response:
                found.append(response.status)
        return found


async def test_a_seed_repeats_its_faults() -> None:
    assert await fates(1) == await fates(1)
    assert await fates(1) != await fates(2)
    assert set(await fates(1)) == {200, 429, 500}


async def test_a_handler_stands_behind_the_faults() -> None:
    async def teapot(request: web.Request) -> web.Response:
        return web.Response(status=418, text=request.path)

    async with (
        FaultServer(handler=teapot) as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/v1/embeddings") as response,
    ):
        assert (response.status, await response.text()) == (418, "/v1/embeddings")
        assert server.outcomes == {"200": 1}


async def test_capacity_sheds_what_the_queue_cannot_hold() -> None:
    shed = 0
    all_shed = asyncio.Event()

    async def work(_: web.Request) -> web.Response:
        await all_shed.wait()
        return web.Response()

    async with (
        FaultServer(Faults(capacity=2, queue=3), handler=work) as server,
        aiohttp.ClientSession() as session,
    ):

        async def get() -> int:
            nonlocal shed
            async with session.get(server.url) as response:
                shed += response.status == 503
                if shed == 5:
                    all_shed.set()
                return response.status

        found = await asyncio.gather(*[get() for _ in range(10)])
    assert sorted(found) == [200] * 5 + [503] * 5
    assert server.peak == 2


async def test_a_window_tells_the_whole_seconds_to_its_end() -> None:
    faults = Faults(requests_per_window=3, window_s=30)
    async with FaultServer(faults) as server, aiohttp.ClientSession() as session:
        found = []
        for _ in range(5):
            async with session.get(server.url) as response:
                found.append((response.status, response.headers.get("Retry-After")))
    assert found[:3] == [(200, None)] * 3
    for status, asked in found[3:]:
        # Whole seconds, fewer only where the machine was slow.
        assert status == 429
        assert 20 <= int(asked or 0) <= 30


async def test_work_is_counted_by_key() -> None:
    async with FaultServer() as server, aiohttp.ClientSession() as session:
        for key in ("a", "b", "a"):
            async with session.post(server.url, headers={"Idempotency-Key": key}):
                pass
    assert server.worked == {"a": 2, "b": 1}


def test_shares_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match="hang_rate"):
        Faults(hang_rate=1.5)


def test_fake_time_jumps_over_every_wait() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await asyncio.sleep(5000)
        await asyncio.gather(*[asyncio.sleep(s) for s in (1, 2, 3)])
        return loop.time()

    started = time.monotonic()
    assert run_in_fake_time(main()) == pytest.approx(1003)
    assert time.monotonic() - started < 100


async def test_a_key_is_honoured_where_the_server_promises_it() -> None:
    faults = Faults(honours_keys=True)
    async with FaultServer(faults) as server, aiohttp.ClientSession() as session:
        for key, name in (("k", "a"), ("k", "a"), ("", "b"), ("", "b")):
            headers = {"Idempotency-Key": key, "X-Request-Id": name}
            async with session.post(server.url, headers=headers) as response:
                assert response.status == 200
    assert server.worked == {"a": 1, "b": 2}


async def test_a_body_may_come_late() -> None:
    faults = Faults(slow_body_s=0.03)
    async with FaultServer(faults) as server, aiohttp.ClientSession() as session:
        started = time.monotonic()
        async with session.post(server.url) as response:
            assert await response.json() == {"ok": True}
    assert time.monotonic() - started >= 0.03


@pytest.mark.parametrize(
    ("overload", "floor_s", "ceiling_s"),
    [("hang", 2.0, 2.2), ("slow", 2.0, 2.2), ("collapse", 4.0, 4.2)],
)
def test_overload_without_a_sign(
    overload: Overload, floor_s: float, ceiling_s: float
) -> None:
    async def main() -> float:
        latency = Latency(median_s=1.0)
        model = FaultModel(Faults(latency=latency, capacity=10, overload=overload))

        async def work() -> bytes:
            return b""

        # One after another in no time, so that each sees the crowd before it.
        await asyncio.gather(*[model.handle(work) for _ in range(20)])
        return asyncio.get_running_loop().time()

    assert floor_s <= run_in_fake_time(main()) <= ceiling_s


def test_a_model_answers_what_it_is_told_to() -> None:
    async def main() -> tuple[bytes, int]:
        def answer(body: bytes) -> tuple[int, bytes]:
            return (400, b"no") if body == b"bad" else (200, body[::-1])

        model = FaultModel(Faults())
        async with ModelClient(model=model, answer=answer, seed=1) as client:
            good = await client.post("http://model/", data=b"abc")
            with pytest.raises(CallError) as refused:
                await client.post("http://model/", data=b"bad")
        return good.body, refused.value.status or 0

    assert run_in_fake_time(main()) == (b"cba", 400)
