"""Real processes, killed and drained at random moments, again and again.

Each store is filled through many deaths; when it is complete it must equal, row for
row, the one that an undisturbed run makes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from openai_server import OpenAIServer
from stored import rows
from warm_process import MAX_TRANSACTION_BYTES, WarmProcess

from aip_pipeline import _reading
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.stores import SqliteStore

KILLS, DRAINS, SHORT = 200, 20, 4
BLOCKS = {"kills": 4, "drains": 2}
IN_FLIGHT, BATCH, BUDGET_BYTES, DIMENSIONS = 2, 16, 64 << 10, 16
TEXT_BYTES = _reading.CHUNK_OVERHEAD_BYTES + 4 * DIMENSIONS
# What a kill may lose: all that the budget lets in, and one transaction.
MOST_LOST = (BUDGET_BYTES + MAX_TRANSACTION_BYTES) // TEXT_BYTES + IN_FLIGHT * BATCH
DONE, INTERRUPTED = 0, 130

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Share the deaths out, so that two workers can deal them."""
    full = metafunc.config.getoption("--proof")
    for name, count in (("kills", KILLS), ("drains", DRAINS)):
        if name in metafunc.fixturenames:
            blocks = range(BLOCKS[name])
            share = count // len(blocks)
            given = [(block, share) for block in blocks] if full else [(0, SHORT)]
            metafunc.parametrize(("block", name), given)


@dataclass(slots=True)
class Torture:
    """A corpus, a server and a warm process, and the store being filled.

    Args:
        folder: an empty one.
        server: counts what each store is charged.
        warm: starts `aip`.
        random: decides when a process dies.
        calm: rows of the undisturbed store.
        number: of the store.
        lost: for each kill, texts embedded and not durable.
    """

    folder: Path
    server: OpenAIServer
    warm: WarmProcess
    random: Random
    calm: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)
    number: int = 0
    lost: list[int] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / f"{self.number}.db"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def said(self) -> str:
        return self.out.read_text() if self.out.exists() else ""

    async def start(self) -> None:
        self.out.unlink(missing_ok=True)
        await self.warm.start(
            *("ingest", "in", "--embedder", "openai:test", "--json"),
            *("--base-url", self.server.base_url, "--store", f"sqlite:///{self.store}"),
            *("--concurrency", str(IN_FLIGHT), "--batch-size", str(BATCH)),
            *("--max-memory", f"{BUDGET_BYTES >> 10}K"),
            out=self.out,
        )

    async def end_of_undisturbed(self) -> None:
        await self.start()
        assert await self.warm.ended() == DONE, self.said
        self.calm = rows(self.store)
        self.next_store()

    def next_store(self) -> None:
        self.number += 1
        self.lost.clear()
        self.server.embedded.clear()

    async def live_a_while(self) -> None:
        """Wait for a moment anywhere in a run: while it starts, sends or stores."""
        if self.random.random() < 0.1:
            await asyncio.sleep(self.random.uniform(0, 0.05))
            return
        await self.requests_sent(self.random.randint(1, 12))
        await asyncio.sleep(self.random.uniform(0, 0.02))

    async def requests_sent(self, more: int) -> None:
        """Wait for some requests, or for the end of a run that has less to send."""
        wanted = self.server.requests + more
        for _ in range(2000):
            if self.server.requests >= wanted or self.said:
                return
            await asyncio.sleep(0.001)

    def unpaid(self) -> int:
        """Texts embedded for this store that it does not hold."""
        with closing(sqlite3.connect(self.store)) as db:
            (held,) = db.execute("SELECT count(*) FROM embedding").fetchone()
        canaries = min(len(self.server.embedded), len(CANARY_TEXTS))
        return len(self.server.embedded) - canaries - int(held)

    async def quiet(self) -> None:
        """Wait until the server did what it was asked."""
        for _ in range(2000):
            if not self.server.in_flight:
                break
            await asyncio.sleep(0.001)

    def check_whole(self) -> None:
        with SqliteStore(self.store) as store:
            assert list(store.verify(repair=False)) == []

    def check_complete(self) -> None:
        """Compare the full store, and what it cost, with the undisturbed one."""
        assert rows(self.store) == self.calm
        paid = self.server.embedded.total() - len(self.server.embedded)
        canaries = len(CANARY_TEXTS) * (len(self.lost) + 1)
        assert paid <= sum(self.lost) + canaries, "paid twice for what was durable"


@pytest.fixture
async def torture(memory_path: Path, block: int) -> AsyncIterator[Torture]:
    folder = memory_path / "in"
    folder.mkdir()
    lines = [{"text": f"number {n} " + "word " * (n % 9)} for n in range(700)]
    (folder / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "b.txt").write_text("".join(f"sentence {n}. " for n in range(5000)))
    async with (
        OpenAIServer(delay_s=0.004, dimensions=DIMENSIONS) as server,
        WarmProcess(memory_path) as warm,
    ):
        made = Torture(memory_path, server, warm, Random(block))
        await made.end_of_undisturbed()
        yield made


async def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    torture: Torture, kills: int
) -> None:
    killed = 0
    while killed < kills:
        await torture.start()
        await torture.live_a_while()
        os.kill(torture.warm.pid, signal.SIGKILL)
        ended = await torture.warm.ended()
        if ended == -signal.SIGKILL:
            killed += 1
            await torture.quiet()
            if torture.store.exists():
                torture.check_whole()
                torture.lost.append(torture.unpaid())
                assert torture.lost[-1] <= MOST_LOST
        else:
            assert ended == DONE, torture.said
            torture.check_complete()
            torture.next_store()
    await torture.start()
    assert await torture.warm.ended() == DONE, torture.said
    torture.check_complete()


async def test_drained_at_any_moment_it_throws_nothing_away(
    torture: Torture, drains: int
) -> None:
    drained = 0
    while drained < drains:
        await torture.start()
        await torture.requests_sent(torture.random.randint(1, 12))
        await asyncio.sleep(torture.random.uniform(0, 0.02))
        os.kill(torture.warm.pid, signal.SIGTERM)
        ended = await torture.warm.ended()
        *told, report = torture.said.splitlines()
        counts = json.loads(report)
        kept = sum(counts[name] for name in ("stored", "unchanged", "filtered", "dead"))
        assert counts["read"] == kept
        assert torture.unpaid() == 0, "embedded, and thrown away"
        torture.lost.append(0)
        if ended == INTERRUPTED:
            drained += 1
            assert len(told) == 1
            assert "stopping: finishing what is in flight" in told[0]
        else:
            assert ended == DONE
            torture.check_complete()
            torture.next_store()
    await torture.start()
    assert await torture.warm.ended() == DONE, torture.said
    torture.check_complete()
