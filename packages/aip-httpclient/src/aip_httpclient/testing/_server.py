"""A real HTTP server on loopback, with faults in front of a handler."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Self, TypeAlias

from aiohttp import web

from ._faults import Faults

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_REQUEST_BYTES = 64 * 2**20


async def _ok(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"ok": True})


class FaultServer:
    """Serve *handler* on a free loopback port, behind *faults*.

    Args:
        faults: what goes wrong; `Faults` may be replaced while the server runs.
        handler: an aiohttp handler for every path; without one, ``{"ok": true}``.

    Attributes:
        faults: see above.
        outcomes: requests by what became of them: ``"200"``, ``"503"``, ``"reset"``,
            ``"reset after"``, ``"hang"``.
        worked: how often the work was done for each ``Idempotency-Key`` (or
            ``X-Request-Id``): 1 is right, more is a duplicate.
        peak: most requests worked on at once.

    >>> import asyncio
    >>> from aip_httpclient import AsyncHttpClient
    >>> async def demo():
    ...     async with FaultServer(Faults(throttle_rate=0.2, seed=1)) as server:
    ...         async with AsyncHttpClient(base_url=server.url) as client:
    ...             return (await client.post("x", json={})).json()
    >>> asyncio.run(demo())
    {'ok': True}
    """

    def __init__(self, faults: Faults | None = None, *, handler: Handler = _ok) -> None:
        self.faults = faults or Faults()
        self.outcomes: Counter[str] = Counter()
        self.worked: Counter[str] = Counter()
        self.peak = 0
        self._handler = handler
        self._random = Random(self.faults.seed)  # noqa: S311  # repeats a schedule
        self._runner: web.AppRunner | None = None
        self._busy = 0
        self._freed = asyncio.Condition()
        self._waiting = 0
        self._started: float | None = None
        self._window: tuple[int, int] = (0, 0)
        self._closing = asyncio.Event()
        self._url = ""

    @property
    def url(self) -> str:
        """The address, such as ``http://127.0.0.1:40123``."""
        return self._url

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        _, port = self._runner.addresses[0][:2]
        self._url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving, letting go of whoever hangs."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        outcome, response = await self._answer(request)
        self.outcomes[outcome] += 1
        return response

    async def _answer(self, request: web.Request) -> tuple[str, web.StreamResponse]:
        refused = self._refuse()
        if refused is not None:
            return str(refused.status), refused
        faults = self.faults
        # All choices are drawn before the first await: the seed decides, not timing.
        fate, service_s = self._random.random(), self._service_s()
        if fate < faults.reset_rate:
            return "reset", self._cut(request)
        fate -= faults.reset_rate
        if fate < faults.hang_rate:
            await self._closing.wait()
            return "hang", self._cut(request)
        fate -= faults.hang_rate
        if not await self._take():
            return "503", web.Response(status=503, text="no capacity left")
        try:
            await asyncio.sleep(service_s)
            return await self._work(request, fate=fate)
        finally:
            await self._give_back()

    async def _work(
        self, request: web.Request, *, fate: float
    ) -> tuple[str, web.StreamResponse]:
        faults = self.faults
        if fate < faults.error_rate:
            status = faults.error_status
            return str(status), web.Response(status=status, text="a fault, on purpose")
        fate -= faults.error_rate
        response = await self._handler(request)
        sent = request.headers
        key = sent.get("Idempotency-Key") or sent.get("X-Request-Id")
        self.worked[key or ""] += 1
        if fate < faults.reset_after_rate:
            return "reset after", self._cut(request)
        return str(response.status), response

    def _refuse(self) -> web.Response | None:
        faults, now = self.faults, asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        since_s = now - self._started
        for brownout in faults.brownouts:
            if brownout.start_s <= since_s < brownout.end_s:
                return web.Response(status=brownout.status, text="brownout")
        if faults.requests_per_window is not None:
            number, seen = self._window
            if number != int(since_s / faults.window_s):
                number, seen = int(since_s / faults.window_s), 0
            if seen >= faults.requests_per_window:
                left_s = (number + 1) * faults.window_s - since_s
                return _too_many(float(math.ceil(left_s)))
            self._window = number, seen + 1
        if self._random.random() < faults.throttle_rate:
            return _too_many(faults.retry_after_s)
        return None

    def _service_s(self) -> float:
        latency = self.faults.latency
        return latency.draw(self._random) if latency else 0.0

    async def _take(self) -> bool:
        capacity = self.faults.capacity
        if capacity is not None and self._busy >= capacity:
            if self._waiting >= self.faults.queue:
                return False
            self._waiting += 1
            try:
                async with self._freed:
                    await self._freed.wait_for(lambda: self._busy < capacity)
            finally:
                self._waiting -= 1
        self._busy += 1
        self.peak = max(self.peak, self._busy)
        return True

    async def _give_back(self) -> None:
        self._busy -= 1
        async with self._freed:
            self._freed.notify()

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _too_many(retry_after_s: float | None) -> web.Response:
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return web.Response(status=429, headers=headers, text="too many requests")
