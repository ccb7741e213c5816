"""A store, a corpus and a server, through all the lives that a seed gives them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest.mock import patch

from simulated.corpus import Corpus
from simulated.disk import Disk
from simulated.machine import Crash, Machine
from simulated.plan import CALM, Life, Plan, plan_of
from simulated.server import DIMENSIONS, Asked, Server
from stored import rows

from aip_httpclient.testing import Faults
from aip_pipeline import (
    EmbedderError,
    Ingestion,
    IngestSettings,
    StoreError,
    _ingestion,
    _reading,
    _settings,
    _writing,
)
from aip_pipeline._fingerprint import text_hasher
from aip_pipeline.stores import SqliteStore

TRANSACTION_BYTES = 6 << 10
PAGE_CHUNKS = 16
# A text in flight takes at least so much of the budget, and of a transaction.
TEXT_BYTES = _reading.CHUNK_OVERHEAD_BYTES + 4 * DIMENSIONS


class World:
    """Live through what *seed* planned, checking the laws after every life.

    Args:
        seed: see `plan_of`.
        folder: an empty one, for the corpus and the stores.
        plan: another plan than the seed's.

    Attributes:
        digest: equal for two runs that did the same.
        lives: how each life ended.
        machine: the last one, with the last of what happened on it.
    """

    def __init__(self, seed: int, folder: Path, *, plan: Plan | None = None) -> None:
        self.plan = plan or plan_of(seed)
        self.digest = 0
        self.lives: Counter[str] = Counter()
        self.again = 0
        self._seed = seed
        self._folder = folder
        self._path = folder / "life 0.db"
        self._hash = text_hasher("openai:test")
        with _small():
            self._settings = IngestSettings(
                embedder="openai:test",
                chunk_size=200,
                chunk_overlap=20,
                **self.plan.settings,
            )
        self._corpus = Corpus(folder / "in", Random(seed), self._settings)
        self.machine = Machine(seed)

    def live(self) -> None:
        """Go through every life, then an undisturbed one, and compare."""
        self._corpus.write()
        with _small():
            for number, life in enumerate(self.plan.lives):
                self._life(number, life)
                self.check()
            self._life(len(self.plan.lives), CALM)
            self.check()
            self._compare()

    def _life(self, number: int, life: Life) -> None:
        if life.edit:
            self._corpus.edit()
        after = self._folder / f"life {number + 1}.db"

        def snapshot() -> None:
            for suffix in ("", "-wal"):
                left = Path(f"{self._path}{suffix}")
                if left.exists():
                    shutil.copyfile(left, f"{after}{suffix}")

        self.machine = machine = Machine(
            self._seed + number, crash_at=life.crash_at, on_crash=snapshot
        )
        disk = Disk(machine, life.disk)
        before = self.durable(self._path)
        calm = life == CALM
        server = self._server(number, calm=calm)
        concurrency = self._settings.concurrency
        asked = Asked(server, seed=self._seed, concurrency=concurrency)
        run = self._run_of(life, asked=asked)
        try:
            with disk.mounted():
                machine.run(_drive(run, life))
        except Crash:
            self._path, ended = after, "killed"
        except StoreError:
            ended = "store failed"
            assert disk.failed, "nothing was wrong with the disk"
        except EmbedderError:
            ended = "embedder failed"
            assert not calm, "nothing was wrong with the server"
        except asyncio.CancelledError:
            ended = "cancelled"
            assert life.cancel_at_s is not None
        else:
            ended = "interrupted" if run.interrupted else "done"
            ended = "budget spent" if run.exhausted else ended
            assert ended == "done" or not calm
        self.lives[ended] += 1
        self.digest = self.digest * 31 + machine.digest
        returned = ended in {"done", "interrupted", "budget spent"}
        self._check_costs(asked, before=before, returned=returned)

    def _server(self, number: int, *, calm: bool) -> Server:
        if calm:
            return Server(Faults())
        plan = self.plan
        faults = replace(plan.faults, seed=plan.faults.seed + number)
        return Server(faults, lies=plan.lies, base64=plan.base64)

    def _run_of(self, life: Life, *, asked: Asked) -> Ingestion:
        more = {"prune": True, "yes": True} if life == CALM else {}
        settings = replace(
            self._settings,
            store=f"sqlite:///{self._path}",
            max_tokens=life.max_tokens,
            **more,  # type: ignore[arg-type]  # two flags
        )
        return Ingestion(self._corpus.sources(), settings=settings, embedder=asked)

    def _check_costs(self, asked: Asked, *, before: set[bytes], returned: bool) -> None:
        """Nothing is paid for twice but what a stop left undone (law 1)."""
        given = {self._hash(text.encode()) for text in asked.given}
        assert not given & before, "embedded again, though it was durable"
        assert max(asked.given.values(), default=1) == 1, "embedded twice in one run"
        lost = given - self.durable(self._path)
        self.again += len(lost)
        if returned:
            assert not lost, "embedded, and thrown away"
        in_memory = self._settings.max_memory_bytes + TRANSACTION_BYTES
        page = PAGE_CHUNKS * TEXT_BYTES * 2
        assert len(lost) <= (in_memory + page) // TEXT_BYTES

    def durable(self, path: Path) -> set[bytes]:
        """Return what a later run need not pay for."""
        if not path.exists():
            return set()
        with closing(sqlite3.connect(path)) as db:
            try:
                found = db.execute("SELECT text_hash FROM embedding").fetchall()
            except sqlite3.OperationalError:  # killed before it had tables
                return set()
        return {row[0] for row in found}

    def check(self) -> None:
        """See that what is durable is whole: now, whatever has just happened."""
        if not self._path.exists():
            return
        with SqliteStore(self._path) as store:
            faults = list(store.verify(repair=False))
            assert not faults, faults
            self._check_versions(store)

    def _check_versions(self, store: SqliteStore) -> None:
        """A source answers with one whole version of it, or not at all (law 3)."""
        found: dict[str, list[str]] = {uri: [] for uri in store.uris()}
        for entry in store.entries():
            found[entry.source].append(entry.text)
        for uri, texts in found.items():
            state = store.source(uri)
            assert state is not None
            known = self._corpus.versions[uri] if state.generation else [[]]
            assert texts in known, f"{uri} answers with what it never was"

    def _compare(self) -> None:
        """The end is the same as if nothing had ever happened."""
        plain, self._path = self._path, self._folder / "calm.db"
        self._life(len(self.plan.lives), CALM)
        if not self._settings.fulltext:
            return
        disturbed, calm = rows(plain), rows(self._path)
        if self._corpus.edited:
            for table in (disturbed, calm):
                table["source"] = [(row[0], *row[2:]) for row in table["source"]]
                table["chunk"] = [(row[0], *row[2:]) for row in table["chunk"]]
            paid = set(disturbed.pop("embedding"))
            assert paid >= set(calm.pop("embedding"))
        assert disturbed == calm


async def _drive(run: Ingestion, life: Life) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    if life.drain_at_s is not None:
        loop.call_later(life.drain_at_s, run.drain)
    if life.cancel_at_s is not None:
        loop.call_later(life.cancel_at_s, task.cancel)
    await run.run()


def _small() -> ExitStack:
    """Make every bound of a run small, so that a small corpus meets them all."""
    stack = ExitStack()
    enter = stack.enter_context
    enter(patch.dict(_settings._LOWEST, {"max_memory_bytes": 1}))
    enter(patch.object(_writing, "MAX_TRANSACTION_BYTES", TRANSACTION_BYTES))
    enter(patch.object(_reading, "MAX_PAGE_CHUNKS", PAGE_CHUNKS))
    enter(patch.object(_ingestion, "SAMPLE_S", 5.0))
    return stack
