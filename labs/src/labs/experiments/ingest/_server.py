"""A loopback OpenAI-compatible server: fast, and as bad as it is told to be.

A process of its own, ``python -m labs.experiments.ingest._server SWITCHES`` with
the switches as JSON; its first line is the port. ``GET /stats`` tells what it saw.
A protocol by hand: a batch of 64 texts costs it half a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any

import orjson

from labs.experiments.ingest._corpus import POISON
from labs.experiments.ingest._vectors import digest, vectors

CHARS_PER_TOKEN = 4
BURST_S = 0.5
FAULTS = ("500", "reset before", "reset after", "truncated")
REASONS = {200: "OK", 400: "Bad Request", 429: "Too Many Requests", 500: "Error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Say how the server is; it is fast and sound by default.

    Args:
        latency_s: from the whole request to its answer.
        slots: requests worked on at once, the others wait; 0 for no limit.
        tokens_per_min: more are answered 429 with Retry-After; 0 for no limit.
        fault_rate: share of requests that fail, each in one of four ways.
        seed: of the faults.
        outage_at_s: seconds from the first request to an outage; 0 for none.
        outage_s: how long every request is cut off.
        hang_every: one request in so many is never answered; 0 for none.
    """

    latency_s: float = 0.05
    slots: int = 0
    tokens_per_min: int = 0
    fault_rate: float = 0.0
    seed: int = 0
    outage_at_s: float = 0.0
    outage_s: float = 5.0
    hang_every: int = 0


class Site:
    """What the connections share: the switches, the limits and the counts."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self.connections: set[Connection] = set()
        self.outcomes: Counter[str] = Counter()
        self.embedded: Counter[bytes] = Counter()
        self.first_s = self.last_s = self.after_outage_s = 0.0
        self.tokens = self.requests = self.in_flight = self.peak = 0
        self.dark = False
        self._random = Random(switches.seed)
        self._credit = BURST_S * switches.tokens_per_min / 60
        self._credited_s = 0.0
        self._busy = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def arrive(self) -> str:
        """Count a request; tell what will become of it."""
        if not self.requests:
            self._open()
        self.requests += 1
        if self.dark:
            return "dark"
        every = self.switches.hang_every
        if every and self.requests % every == every // 2:
            return "hang"
        if self._random.random() < self.switches.fault_rate:
            return self._random.choice(FAULTS)
        return "200"

    def _open(self) -> None:
        self.first_s = self._credited_s = monotonic()
        if self.switches.outage_at_s:
            loop, start = asyncio.get_running_loop(), self.switches.outage_at_s
            loop.call_later(start, self._go_dark)
            loop.call_later(start + self.switches.outage_s, self._come_back)

    def _go_dark(self) -> None:
        self.dark = True
        for each in tuple(self.connections):
            each.cut()

    def _come_back(self) -> None:
        self.dark = False
        self.after_outage_s = monotonic()

    def refused_for_s(self, tokens: int) -> float:
        """Take *tokens* from the allowance, or tell when they will be there."""
        per_s = self.switches.tokens_per_min / 60
        if not per_s:
            return 0.0
        now = monotonic()
        gained = (now - self._credited_s) * per_s
        self._credit = min(BURST_S * per_s, self._credit + gained)
        self._credited_s = now
        # A request above the burst passes on a full allowance, and leaves a debt.
        wanted = min(tokens, BURST_S * per_s)
        if self._credit < wanted:
            return (wanted - self._credit) / per_s
        self._credit -= tokens
        return 0.0

    @property
    def credit(self) -> int:
        """Tokens that would be admitted now."""
        return max(0, int(self._credit))

    def work(self, then: Callable[[], None]) -> None:
        """Call *then* after the latency, once there is a slot."""
        if self.switches.slots and self._busy >= self.switches.slots:
            self._waiting.append(then)
            return
        self._busy += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self.switches.latency_s, self._finish, then)

    def _finish(self, then: Callable[[], None]) -> None:
        self._busy -= 1
        if self._waiting:
            self.work(self._waiting.popleft())
        then()

    def stats(self) -> dict[str, Any]:
        """Tell what was seen; times are of the machine's monotonic clock."""
        return {
            "requests": self.requests,
            "outcomes": dict(self.outcomes),
            "texts": self.embedded.total(),
            "distinct": len(self.embedded),
            "tokens": self.tokens,
            "in_flight": self.in_flight,
            "peak": self.peak,
            "first_s": self.first_s,
            "last_s": self.last_s,
            "after_outage_s": self.after_outage_s,
        }


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one after another."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._buffer = bytearray()
        self._wanted = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # TCP
        self._transport = transport
        self.site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; work that was begun goes on and is counted."""
        del exc
        self.site.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect one request, head and body."""
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._buffer[:head_end]).lower()
        _, _, after = head.partition(b"\r\ncontent-length:")
        body_start = head_end + 4
        self._wanted = body_start + int(after.partition(b"\r\n")[0] or 0)
        if len(self._buffer) >= self._wanted:
            body = bytes(self._buffer[body_start : self._wanted])
            self._buffer.clear()
            self._wanted = 0
            self._request(head, body)

    def _request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /stats"):
            self._send(200, orjson.dumps(self.site.stats()))
            return
        site = self.site
        fate = site.arrive()
        if fate in {"dark", "reset before"}:
            site.outcomes[fate] += 1
            self.cut()
            return
        if fate == "hang":
            site.outcomes[fate] += 1
            return
        texts = orjson.loads(body)["input"]
        tokens = sum(map(len, texts)) // CHARS_PER_TOKEN
        wait_s = site.refused_for_s(tokens)
        if wait_s:
            self._refuse(wait_s)
            return
        site.in_flight += 1
        site.peak = max(site.peak, site.in_flight)
        site.work(lambda: self._answer(texts, tokens, fate))

    def _refuse(self, wait_s: float) -> None:
        headers = (
            f"retry-after: {math.ceil(wait_s)}\r\n"
            f"retry-after-ms: {math.ceil(1000 * wait_s)}\r\n"
            f"x-ratelimit-reset-tokens: {wait_s:.3f}s\r\n"
        )
        self.site.outcomes["429"] += 1
        self._send(429, b'{"error": {"message": "Rate limit reached."}}', headers)

    def _answer(self, texts: list[str], tokens: int, fate: str) -> None:
        site = self.site
        site.in_flight -= 1
        if site.dark or fate == "500":
            site.outcomes["cut" if site.dark else fate] += 1
            self.cut() if site.dark else self._send(500, b'{"error": {}}')
            return
        if any(POISON in text for text in texts):
            site.outcomes["400"] += 1
            self._send(400, b'{"error": {"message": "the model cannot take this"}}')
            return
        digests = [digest(text) for text in texts]
        site.embedded.update(digests)
        site.outcomes[fate] += 1
        site.tokens += tokens
        site.last_s = monotonic()
        if fate == "reset after":
            self.cut()
        else:
            self._send(200, _body(digests, tokens), cut=fate == "truncated")

    def _send(
        self, status: int, body: bytes, headers: str = "", *, cut: bool = False
    ) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        limit = self.site.switches.tokens_per_min
        if limit:
            headers += (
                f"x-ratelimit-limit-tokens: {limit}\r\n"
                f"x-ratelimit-remaining-tokens: {self.site.credit}\r\n"
            )
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"{headers}content-length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + (body[: len(body) // 2] if cut else body))
        if cut:
            self._transport.close()

    def cut(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()


def _body(digests: list[bytes], tokens: int) -> bytes:
    rows = vectors(digests)
    items = b",".join(
        b'{"object":"embedding","index":%d,"embedding":"%s"}' % (n, b64encode(row.data))
        for n, row in enumerate(rows)
    )
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (tokens, tokens)
    start = b'{"object":"list","model":"bench","usage":%s,"data":[' % usage
    return b"%s%s]}" % (start, items)


async def serve(switches: Switches) -> None:
    """Serve on a free port until killed."""
    site = Site(switches)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(site), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Switches(**json.loads(sys.argv[1]))))
