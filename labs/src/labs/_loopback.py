"""A server of embeddings on loopback, beside the process under measurement."""

from __future__ import annotations

import asyncio
import base64
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from aip_httpclient.testing import FaultServer

START_TIMEOUT_S = 30.0


@contextmanager
def embedding_server(
    *, latency_s: float = 0.0, error_rate: float = 0.0, dimensions: int = 256
) -> Iterator[str]:
    """Serve ``/v1/embeddings`` from a thread of this process; give its base URL.

    The vectors depend on the texts alone, so that equal texts get equal vectors.

    Args:
        latency_s: median service time of a request, in seconds.
        error_rate: share of requests answered with 500.
        dimensions: length of a vector.
    """
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    served = _serve(ready, _server(latency_s, error_rate, dimensions))
    thread = threading.Thread(target=asyncio.run, args=(served,), daemon=True)
    thread.start()
    url, loop, stop = ready.result(timeout=START_TIMEOUT_S)
    try:
        yield f"{url}/v1"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_TIMEOUT_S)


def _server(latency_s: float, error_rate: float, dimensions: int) -> FaultServer:
    from aiohttp import web  # noqa: PLC0415  # `labs list` is instant

    from aip_httpclient.testing import (  # noqa: PLC0415  # as above
        Faults,
        FaultServer,
        Latency,
    )

    async def embed(request: web.Request) -> web.StreamResponse:
        texts = (await request.json())["input"]
        data = [
            {"index": index, "embedding": _vector(text, dimensions)}
            for index, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return web.json_response({"data": data, "usage": usage, "model": "lab"})

    latency = Latency(median_s=latency_s) if latency_s else None
    return FaultServer(Faults(latency=latency, error_rate=error_rate), handler=embed)


def _vector(text: str, dimensions: int) -> str:
    """Make a vector in base64 out of a checksum: cheap, the same every time."""
    seed = zlib.crc32(text.encode()) & 0x3FFF_FFFF
    numbers = b"".join(
        (0x3F00_0000 | (seed * (place + 1) & 0x7F_FFFF)).to_bytes(4, "little")
        for place in range(8)
    )
    return base64.b64encode(numbers * (dimensions // 8)).decode()


async def _serve(
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]],
    server: FaultServer,
) -> None:
    stop = asyncio.Event()
    async with server:
        ready.set_result((server.url, asyncio.get_running_loop(), stop))
        await stop.wait()
