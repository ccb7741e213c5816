"""A loopback OpenAI-compatible server that counts, and is as bad as it is told."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from struct import unpack
from typing import TYPE_CHECKING, Any

from labs.experiments.torture._corpus import POISON

if TYPE_CHECKING:
    from aiohttp import web

DIMENSIONS = 64
START_TIMEOUT_S = 30.0
MAX_BODY_BYTES = 1 << 28


@dataclass(slots=True, kw_only=True)
class Server:
    """What it does, which may be changed while it runs, and what it saw.

    Args:
        latency_s: how long it works on a request.
        slots: requests worked on at once; the others wait in silence.
        broken: whether every request is answered with 500.
        url: root of its API.
        embedded: how often each text was embedded.
        in_flight: requests that are not answered yet.
        peak: the most of them at one time.
    """

    latency_s: float = 0.02
    slots: int = 16
    broken: bool = False
    url: str = ""
    embedded: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    peak: int = 0

    @property
    def texts(self) -> int:
        """How many texts it was paid for."""
        return self.embedded.total()


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve from a thread of this process."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    def target() -> None:
        try:
            asyncio.run(_serve(server, ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    server.url, loop, stop = ready.result(timeout=START_TIMEOUT_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_TIMEOUT_S)


async def _serve(
    server: Server,
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]],
) -> None:
    from aiohttp import web

    stop, slots = asyncio.Event(), asyncio.Semaphore(server.slots)

    async def answer(request: web.Request) -> web.Response:
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        try:
            body = await request.json()
            async with slots:
                await asyncio.sleep(server.latency_s)
            status, told = _answer(server, body)
        finally:
            server.in_flight -= 1
        return web.json_response(told, status=status)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/v1/embeddings", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    _, port = runner.addresses[0][:2]
    url = f"http://127.0.0.1:{port}/v1"
    ready.set_result((url, asyncio.get_running_loop(), stop))
    await stop.wait()
    await runner.cleanup()


def _answer(server: Server, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Give the status and the body, as the API words them."""
    if server.broken:
        return 500, _error("The server had an error.", "server_error", None)
    given = body["input"]
    texts = [given] if isinstance(given, str) else given
    if any(POISON in text for text in texts):
        said = "'input' holds what the model cannot take."
        return 400, _error(said, "invalid_request_error", "invalid_input")
    server.embedded.update(texts)
    binary = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _vector(text, binary=binary),
        }
        for index, text in enumerate(texts)
    ]
    tokens = sum(map(len, texts)) // 4
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return 200, {"object": "list", "data": data, "model": "bench", "usage": usage}


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _vector(text: str, *, binary: bool) -> str | list[float]:
    """Make a vector out of a digest: always the same, never zero."""
    signs = blake2b(text.encode("utf-8", "replace")).digest()
    # 0x3f is the last byte of a float between 0.5 and 1, little-endian.
    raw = b"".join(b"\x00\x00" + bytes([sign & 0x7F, 0x3F]) for sign in signs)
    coded = b64encode(raw).decode()
    return coded if binary else list(unpack(f"<{DIMENSIONS}f", b64decode(coded)))
