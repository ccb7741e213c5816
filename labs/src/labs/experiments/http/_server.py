"""The servers of the lab, each in a process of its own.

``python -m labs.experiments.http._server KIND JSON`` prints its port, and one line of
JSON for each line on its stdin. ``faults`` is `FaultServer`; ``plain`` answers by hand,
as fast as Python can; ``idle`` closes each connection after it idled a while.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aip_httpclient.testing import Brownout, Faults, FaultServer, Latency

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'  # noqa: E501  # one line on the wire
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Remote:
    """A server in another process.

    Args:
        url: where it listens.
        process: the process; its stdin asks for the counts.
    """

    url: str
    process: asyncio.subprocess.Process

    async def counts(self) -> dict[str, Any]:
        """Ask what the server saw so far."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the server was started without pipes")
        stdin.write(b"\n")
        await stdin.drain()
        told: dict[str, Any] = json.loads(await stdout.readline())
        return told


@asynccontextmanager
async def serving(kind: str, settings: Faults | float | None) -> AsyncIterator[Remote]:
    """Run a server until the block ends."""
    told = asdict(settings) if isinstance(settings, Faults) else settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, kind, json.dumps(told)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            if process.stdout is None:
                raise RuntimeError("the server was started without pipes")
            port = int(await process.stdout.readline())
        yield Remote(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        await process.wait()


def faults_from(told: dict[str, Any]) -> Faults:
    """Rebuild `Faults` from JSON."""
    latency = told.pop("latency")
    brownouts = tuple(Brownout(**each) for each in told.pop("brownouts"))
    law = Latency(**latency) if latency else None
    return Faults(**told, latency=law, brownouts=brownouts)


class _Plain(asyncio.Protocol):
    """Answer each request at once, with no thought to what it says."""

    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            _, _, after = head.partition(b"content-length:")
            whole = end + 4 + int(after.partition(b"\r\n")[0] or 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            type(self).served += 1
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(ANSWER)


class _Idle(_Plain):
    """Close the connection when it has idled: at the worst moment."""

    idle_s = 1.0
    _alarm: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        super().data_received(data)
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(self.idle_s, self._transport.close)


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def _faulty(told: dict[str, Any]) -> None:
    commands = await _commands()
    async with FaultServer(faults_from(told)) as server:
        print(server.url.rpartition(":")[2], flush=True)
        while await commands.readline():
            model = server.model
            worked = Counter(model.worked.values())
            counts = {
                "arrived": model.arrived,
                "outcomes": dict(model.outcomes),
                "done": len(model.worked),
                "duplicates": sum((n - 1) * many for n, many in worked.items()),
                "peak": model.peak,
                "since_s": model.since_s(),
            }
            print(json.dumps(counts), flush=True)


async def _quick(protocol: type[_Plain]) -> None:
    commands = await _commands()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=2048)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        while await commands.readline():
            print(json.dumps({"served": protocol.served}), flush=True)


def main() -> None:
    """Serve until stdin ends."""
    kind, told = sys.argv[1], json.loads(sys.argv[2])
    if kind == "faults":
        asyncio.run(_faulty(told))
    elif kind == "idle":
        _Idle.idle_s = told
        asyncio.run(_quick(_Idle))
    else:
        asyncio.run(_quick(_Plain))


if __name__ == "__main__":
    main()
