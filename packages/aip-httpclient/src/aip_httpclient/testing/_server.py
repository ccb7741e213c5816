"""A real HTTP server on loopback, with faults in front of a handler."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeAlias

from aiohttp import web

from ._faults import Faults
from ._model import FaultModel

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_REQUEST_BYTES = 64 * 2**20


async def _ok(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"ok": True})


class FaultServer:
    """Serve *handler* on a free loopback port, behind *faults*.

    Args:
        faults: what goes wrong.
        handler: an aiohttp handler for every path; without one, ``{"ok": true}``.

    Attributes:
        model: the `FaultModel` behind the wire.

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
        self.model = FaultModel(faults or Faults())
        self._handler = handler
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The address, such as ``http://127.0.0.1:40123``."""
        return self._url

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be replaced while the server runs."""
        return self.model.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.model.faults = faults

    @property
    def outcomes(self) -> Counter[str]:
        """Requests by what became of them: ``"200"``, ``"503"``, ``"reset"``, ..."""
        return self.model.outcomes

    @property
    def worked(self) -> Counter[str]:
        """How often the work was done, by ``X-Request-Id`` or ``Idempotency-Key``.

        1 is right, more is a duplicate, a missing key is a loss.
        """
        return self.model.worked

    @property
    def peak(self) -> int:
        """Most requests worked on at once."""
        return self.model.peak

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=0.1,
            keepalive_timeout=self.faults.keep_alive_s,
        )
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
        self.model.closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        sent = request.headers
        try:
            fate = await self.model.handle(
                lambda: self._handler(request),
                key=sent.get("Idempotency-Key", ""),
                name=sent.get("X-Request-Id", ""),
                cost=float(sent.get("X-Cost", "0")),
            )
        except ConnectionResetError:
            self.outcomes["gone"] += 1  # the client left while it was still sending
            return web.Response()
        if fate.cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fate.done is None:
            return web.Response(
                status=fate.status, text=fate.text, headers=fate.headers
            )
        done = _again(fate.done) if self.faults.honours_keys else fate.done
        if fate.headers and not done.prepared:
            done.headers.update(fate.headers)
        if self.faults.slow_body_s:
            return await self._slowly(request, done)
        return done

    async def _slowly(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        """Send the headers now, the body later."""
        slow = web.StreamResponse(status=response.status, headers=response.headers)
        await slow.prepare(request)
        await asyncio.sleep(self.faults.slow_body_s)
        body = response.body if isinstance(response, web.Response) else None
        if isinstance(body, bytes):
            await slow.write(body)
        await slow.write_eof()
        return slow


def _again(response: web.StreamResponse) -> web.StreamResponse:
    """Copy an answer: aiohttp sends each of them once only."""
    if not isinstance(response, web.Response):
        return response
    kept = {n: v for n, v in response.headers.items() if n.lower() != "content-length"}
    return web.Response(status=response.status, headers=kept, body=response.body)
