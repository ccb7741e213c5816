"""A loopback OpenAI-compatible embeddings server that fails and lies on demand.

In a test: ``async with OpenAIServer(dimensions=16) as server: server.base_url``.
As a process: ``python openai_server.py --dimensions 256 --fault-rate 0.1`` prints
its base URL as the first line, serves until it is killed, and on SIGTERM prints
one JSON object: how many requests, and how many texts were embedded how often.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

Lie = Literal[
    "none",
    "count",  # one vector too few
    "index",  # the same index twice
    "shuffled",  # right indices, another order
    "nan",
    "zero",
    "dimensions",  # one vector shorter than the others
    "lists",  # numbers although base64 was asked for
    "html",  # a proxy's page, as 200
    "truncated",  # the second half of the body is missing
    "null",
]


def vector(text: str, dimensions: int) -> NDArray[np.float32]:
    """Return the unit vector this server has for *text*, always the same."""
    digest = hashlib.blake2b(text.encode()).digest()
    numbers = np.frombuffer(digest, np.int8).astype(np.float32) + 0.5
    repeated: NDArray[np.float32] = np.resize(numbers, dimensions)
    repeated /= np.linalg.norm(repeated)
    return repeated


@dataclass(kw_only=True)
class OpenAIServer:
    """Serve ``POST /v1/embeddings`` on a free loopback port.

    Args:
        dimensions: length of a vector.
        key: the only key accepted; None accepts all.
        model: the only model known; None knows all.
        fault_rate: part of the requests answered 500 or 429.
        busy: so many first requests are answered 429.
        quota: whether the account has any left; if not, 429 for ever.
        poison: a request holding this text is answered `poison_status`, and `said`.
        zero: a text holding this gets the zero vector.
        max_texts: a request holding more is answered 413.
        refuses: body fields answered with 400.
        lie: how a 200 is made wrong.
        lies: how many answers are made wrong; the later ones are right.
        delay_s: seconds before each answer.
        seed: of the faults.
    """

    dimensions: int = 16
    key: str | None = None
    model: str | None = None
    fault_rate: float = 0.0
    busy: int = 0
    quota: bool = True
    poison: str | None = None
    poison_status: int = 400
    zero: str | None = None
    said: str = "'input' holds what the model cannot take."
    max_texts: int = 2048
    refuses: frozenset[str] = frozenset()
    lie: Lie = "none"
    lies: int = 1 << 30
    delay_s: float = 0.0
    seed: int = 0
    port: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    embedded: Counter[bytes] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keep: int = 100
    in_flight: int = 0
    peak_in_flight: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> int:
        return self.statuses.total()

    def times_embedded(self, text: str) -> int:
        return self.embedded[_digest(text)]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/embeddings", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = await self._answer(request)
        finally:
            self.in_flight -= 1
        self.statuses[response.status] += 1
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if len(self.bodies) < self.keep:
            self.bodies.append({**body, "headers": dict(request.headers)})
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        refusal = self._refusal(request, body) or self._fault()
        if refusal is not None:
            return refusal
        texts = body["input"]
        self.embedded.update(map(_digest, texts))
        return self._lied(self._items(texts, body), tokens=sum(map(len, texts)) // 4)

    def _refusal(self, request: web.Request, body: dict[str, Any]) -> Any:
        sent = request.headers.get("Authorization", "")
        if self.key is not None and sent != f"Bearer {self.key}":
            # As the vendor does, it repeats what it was given.
            return _error(401, f"Incorrect API key provided: {sent[7:]}.")
        if self.model is not None and body["model"] != self.model:
            return _error(404, f"The model `{body['model']}` does not exist.")
        for name in sorted(self.refuses & body.keys()):
            return _error(400, f"Unknown parameter: '{name}'.")
        if len(body["input"]) > self.max_texts:
            return _error(413, f"batch size > {self.max_texts}")
        if self.poison is not None and any(self.poison in t for t in body["input"]):
            return _error(self.poison_status, self.said)
        return None

    def _fault(self) -> web.Response | None:
        if not self.quota:
            return _error(429, "You exceeded your quota.", code="insufficient_quota")
        busy, self.busy = self.busy, max(0, self.busy - 1)
        if busy:
            return _error(429, "Rate limit reached.", {"retry-after-ms": "40"})
        if self._random.random() >= self.fault_rate:
            return None
        if self._random.random() < 0.5:
            return _error(500, "The server had an error.")
        return _error(429, "Rate limit reached.", {"retry-after-ms": "5"})

    def _items(self, texts: Sequence[str], body: dict[str, Any]) -> list[Any]:
        dimensions = body.get("dimensions") or self.dimensions
        binary = body.get("encoding_format") == "base64" and self.lie != "lists"
        items = []
        for index, text in enumerate(texts):
            numbers = vector(text, dimensions).astype("<f4")
            coded = base64.b64encode(numbers.tobytes()).decode()
            embedding = coded if binary else numbers.tolist()
            if self.zero is not None and self.zero in text:
                embedding = [0.0] * dimensions
            items.append(
                {"object": "embedding", "index": index, "embedding": embedding}
            )
        return items

    def _lied(self, items: list[Any], *, tokens: int) -> web.Response:
        lie = self.lie if self.lies > 0 else "none"
        self.lies -= 1
        if lie == "html":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        if lie == "count":
            items.pop()
        if lie == "index":
            items[-1]["index"] = 0 if len(items) > 1 else 7
        if lie == "shuffled":
            self._random.shuffle(items)
        if lie == "null":
            items[-1]["embedding"] = None
        if lie in {"nan", "zero", "dimensions"}:
            number = 0.0 if lie == "zero" else np.nan
            bad = np.full(self.dimensions - (lie == "dimensions"), number, "<f4")
            items[-1]["embedding"] = base64.b64encode(bad.tobytes()).decode()
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "data": items, "model": "test", "usage": usage}
        body = json.dumps(answer).encode()
        if lie == "truncated":
            body = body[: len(body) // 2]
        return web.Response(body=body, content_type="application/json")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _error(
    status: int,
    message: str,
    headers: dict[str, str] | None = None,
    *,
    code: str | None = None,
) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


async def _serve(server: OpenAIServer) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        await stopped.wait()
    times = Counter(server.embedded.values())
    seen = {
        "requests": server.requests,
        "statuses": dict(server.statuses),
        "texts": len(server.embedded),
        "texts_by_times_embedded": dict(times),
        "peak_in_flight": server.peak_in_flight,
    }
    sys.stdout.write(json.dumps(seen) + "\n")


def main() -> None:
    """Serve as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--key")
    parser.add_argument("--model")
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--poison")
    parser.add_argument("--poison-status", type=int, default=400)
    parser.add_argument("--max-texts", type=int, default=2048)
    parser.add_argument("--delay-s", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve(OpenAIServer(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
