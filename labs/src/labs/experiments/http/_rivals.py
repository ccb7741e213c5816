"""The other clients' side of the lab: runs in their own environment, as a script.

Imports nothing of ours. Each is set up as its documentation shows for many calls: a
pool or semaphore of 100, six attempts, backoff from 0.2 s to 10 s with jitter.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

ATTEMPTS = 6
FIRST_S, LAST_S = 0.2, 10.0
TIMEOUT_S = 1.0
POOL = 100
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
BODY = {"model": "m", "input": ["hello world"] * 4}
FIRST_FAILURE = 400

Post = Callable[[Any, dict[str, str]], Awaitable[object]]


@asynccontextmanager
async def bare(url: str, pool: int) -> AsyncIterator[Post]:
    """Open a session as it is."""
    aiohttp: Any = import_module("aiohttp")
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S * 60)
    connector = aiohttp.TCPConnector(limit=pool)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def post(body: Any, headers: dict[str, str]) -> object:
            async with session.post(url, json=body, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        yield post


@asynccontextmanager
async def with_tenacity(url: str, pool: int) -> AsyncIterator[Post]:
    """Wrap each post in tenacity."""
    aiohttp: Any = import_module("aiohttp")
    tenacity: Any = import_module("tenacity")
    connector = aiohttp.TCPConnector(limit=pool)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        again: Any = tenacity.retry(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_S, max=LAST_S),
            retry=tenacity.retry_if_exception_type((aiohttp.ClientError, TimeoutError)),
            reraise=True,
        )

        async def once(body: Any, headers: dict[str, str]) -> object:
            async with session.post(url, json=body, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        yield again(once)


@asynccontextmanager
async def with_stamina(url: str, pool: int) -> AsyncIterator[Post]:
    """Wrap each post in stamina."""
    aiohttp: Any = import_module("aiohttp")
    stamina: Any = import_module("stamina")
    connector = aiohttp.TCPConnector(limit=pool)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        again: Any = stamina.retry(
            on=(aiohttp.ClientError, TimeoutError),
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=FIRST_S,
            wait_max=LAST_S,
        )

        async def once(body: Any, headers: dict[str, str]) -> object:
            async with session.post(url, json=body, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        yield again(once)


@asynccontextmanager
async def with_aiohttp_retry(url: str, pool: int) -> AsyncIterator[Post]:
    """Use aiohttp-retry's client."""
    aiohttp: Any = import_module("aiohttp")
    retry: Any = import_module("aiohttp_retry")
    connector = aiohttp.TCPConnector(limit=pool)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=TIMEOUT_S)
    options = retry.ExponentialRetry(
        attempts=ATTEMPTS,
        start_timeout=FIRST_S,
        max_timeout=LAST_S,
        statuses=PASSING,
        exceptions={aiohttp.ClientError, asyncio.TimeoutError},
    )
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        client = retry.RetryClient(session, retry_options=options)

        async def post(body: Any, headers: dict[str, str]) -> object:
            async with client.post(url, json=body, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        yield post


@asynccontextmanager
async def with_httpx_retries(url: str, pool: int) -> AsyncIterator[Post]:
    """Use httpx with the transport of httpx-retries."""
    httpx: Any = import_module("httpx")
    retries: Any = import_module("httpx_retries")
    policy = retries.Retry(
        total=ATTEMPTS - 1,
        backoff_factor=FIRST_S,
        allowed_methods=["POST"],
        status_forcelist=sorted(PASSING),
    )
    limits = httpx.Limits(max_connections=pool, max_keepalive_connections=pool)
    transport = retries.RetryTransport(
        transport=httpx.AsyncHTTPTransport(limits=limits), retry=policy
    )
    timeout = httpx.Timeout(TIMEOUT_S, pool=None)
    async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:

        async def post(body: Any, headers: dict[str, str]) -> object:
            response = await client.post(url, json=body, headers=headers)
            response.raise_for_status()
            return response.json()

        yield post


@asynccontextmanager
async def with_openai(url: str, pool: int) -> AsyncIterator[Post]:
    """Use the OpenAI SDK's own transport, retries and all."""
    openai: Any = import_module("openai")
    httpx: Any = import_module("httpx")
    limits = httpx.Limits(max_connections=pool, max_keepalive_connections=pool)
    timeout = httpx.Timeout(TIMEOUT_S, pool=None)
    async with openai.AsyncOpenAI(
        base_url=url.rpartition("/")[0],
        api_key="none",
        max_retries=ATTEMPTS - 1,
        http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
        timeout=timeout,
    ) as client:
        path = "/" + url.rpartition("/")[2]

        async def post(body: Any, headers: dict[str, str]) -> object:
            options = {"headers": headers}
            told: object = await client.post(
                path, body=body, cast_to=object, options=options
            )
            return told

        yield post


RIVALS = {
    "tenacity": with_tenacity,
    "stamina": with_stamina,
    "aiohttp-retry": with_aiohttp_retry,
    "httpx-retries": with_httpx_retries,
    "openai": with_openai,
}


async def cpu(url: str, concurrency: int, calls: int, rounds: int) -> dict[str, float]:
    """Give bare processor time over each rival's, in turn, per call."""
    url += "/x"
    found = {}
    for name, rival in RIVALS.items():
        async with bare(url, concurrency) as base, rival(url, concurrency) as other:
            ratios = []
            for turn in range(rounds + 1):
                few = calls if name not in {"openai", "httpx-retries"} else calls // 4
                ours = await _drive(base, few, concurrency)
                theirs = await _drive(other, few, concurrency)
                if turn:
                    ratios.append(ours / theirs)
        found[name] = statistics.median(ratios)
    return found


async def _drive(post: Post, calls: int, concurrency: int) -> float:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await post(BODY, {})

    started = time.process_time()
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    return (time.process_time() - started) / calls


async def many(url: str, name: str, calls: int, pool: int) -> dict[str, float]:
    """Make *calls* at once through one rival (or ``bare``); count what came."""
    rival = RIVALS.get(name, bare)
    gate = asyncio.Semaphore(pool)
    async with rival(url + "/x", pool) as post:

        async def one(number: int) -> bool:
            async with gate:
                try:
                    await post(number, {"X-Request-Id": str(number)})
                except Exception:  # noqa: BLE001  # whatever it is, the call failed
                    return False
                return True

        started = time.perf_counter()
        good = sum(await asyncio.gather(*[one(i) for i in range(calls)]))
        return {"good": good, "seconds": time.perf_counter() - started}


def main() -> None:
    """Run one bench; print its JSON."""
    bench, url, *rest = sys.argv[1:]
    if bench == "cpu":
        concurrency, calls, rounds = map(int, rest)
        print(json.dumps(asyncio.run(cpu(url, concurrency, calls, rounds))))
    else:
        name, number, pool = rest
        print(json.dumps(asyncio.run(many(url, name, int(number), int(pool)))))


if __name__ == "__main__":
    main()
