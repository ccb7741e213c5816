"""A corpus, a server, and a warm process that fills store after store."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from openai_server import OpenAIServer
from stored import rows
from warm_process import MAX_TRANSACTION_BYTES, WarmProcess

from aip_pipeline import _reading
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.stores import SqliteStore

IN_FLIGHT, BATCH, BUDGET_BYTES, DIMENSIONS = 2, 16, 64 << 10, 16
TEXT_BYTES = _reading.CHUNK_OVERHEAD_BYTES + 4 * DIMENSIONS
# What a death may lose: all that the budget lets in, and one transaction.
MOST_LOST = (BUDGET_BYTES + MAX_TRANSACTION_BYTES) // TEXT_BYTES + IN_FLIGHT * BATCH
DONE, FAILED, INTERRUPTED = 0, 1, 130


@dataclass(slots=True)
class Torture:
    """A corpus, a server and a warm process, and the store being filled.

    Args:
        folder: an empty one.
        server: counts what each store is charged.
        warm: starts `aip`.
        random: decides when a process dies.
        disk: where the stores are, if not there.
        calm: rows of the undisturbed store.
        number: of the store.
        lost: for each kill, texts embedded and not durable.
    """

    folder: Path
    server: OpenAIServer
    warm: WarmProcess
    random: Random
    disk: Path | None = None
    calm: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)
    number: int = 0
    lost: list[int] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return (self.disk or self.folder) / f"{self.number}.db"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def said(self) -> str:
        return self.out.read_text() if self.out.exists() else ""

    async def start(self, *, max_file_bytes: int | None = None) -> None:
        """Start a run; no file of its may grow beyond *max_file_bytes*."""
        self.out.unlink(missing_ok=True)
        await self.warm.start(
            *("ingest", "in", "--embedder", "openai:test", "--json"),
            *("--base-url", self.server.base_url, "--store", f"sqlite:///{self.store}"),
            *("--concurrency", str(IN_FLIGHT), "--batch-size", str(BATCH)),
            *("--max-memory", f"{BUDGET_BYTES >> 10}K"),
            out=self.out,
            max_file_bytes=max_file_bytes,
        )

    async def complete(self) -> None:
        """Let the store be filled undisturbed, and check it."""
        await self.start()
        assert await self.warm.ended() == DONE, self.said
        self.check_complete()

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
        """Verify the store; return the texts embedded for it that it does not hold.

        It is a copy that is verified: a disk may be too full to open it where it is.
        """
        copy = self.folder / "copy.db"
        for suffix in ("", "-wal"):
            left = Path(f"{self.store}{suffix}")
            if left.exists():
                shutil.copyfile(left, f"{copy}{suffix}")
        with SqliteStore(copy) as store:
            assert list(store.verify(repair=False)) == []
            (held,) = store._db.execute("SELECT count(*) FROM embedding").fetchone()
        copy.unlink()
        canaries = min(len(self.server.embedded), len(CANARY_TEXTS))
        return len(self.server.embedded) - canaries - int(held)

    async def quiet(self) -> None:
        """Wait until the server did what it was asked."""
        for _ in range(2000):
            if not self.server.in_flight:
                break
            await asyncio.sleep(0.001)

    async def check_interrupted(self) -> None:
        """See that what is durable is whole, and how much was not yet durable."""
        await self.quiet()
        if self.store.exists():
            self.lost.append(self.unpaid())
            assert self.lost[-1] <= MOST_LOST

    def check_complete(self) -> None:
        """Compare the full store, and what it cost, with the undisturbed one; go on."""
        filled = rows(self.store)
        self.calm = self.calm or filled
        assert filled == self.calm
        paid_again = self.server.embedded.total() - len(self.server.embedded)
        canaries = len(CANARY_TEXTS) * (len(self.lost) + 1)
        assert paid_again <= sum(self.lost) + canaries, "paid again for what was there"
        self.number += 1
        self.lost.clear()
        self.server.embedded.clear()


@asynccontextmanager
async def begun(
    folder: Path, *, seed: int, delay_s: float = 0.004
) -> AsyncIterator[Torture]:
    """Write the corpus, start what is needed, and fill one store undisturbed."""
    (folder / "in").mkdir()
    lines = [{"text": f"number {n} " + "word " * (n % 9)} for n in range(700)]
    jsonl = "".join(json.dumps(one) + "\n" for one in lines)
    (folder / "in" / "a.jsonl").write_text(jsonl)
    prose = "".join(f"sentence {n}. " for n in range(5000))
    (folder / "in" / "b.txt").write_text(prose)
    async with (
        OpenAIServer(delay_s=delay_s, dimensions=DIMENSIONS) as server,
        WarmProcess(folder) as warm,
    ):
        made = Torture(folder, server, warm, Random(seed))
        await made.complete()
        yield made
