"""The nine laws of an ingestion, one test each; the other modules go into the corners.

test_simulation.py, test_torture.py and test_full_disk.py hold the first three to it
while everything fails.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from stored import texts
from tortured import DONE
from warm_process import WarmProcess

from aip_pipeline import (
    ConservationError,
    Ingestion,
    IngestReport,
    IngestSettings,
    PruneRefused,
    SpaceMismatch,
    search,
)
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.stores import SqliteStore, _adder

Run = Callable[..., Ingestion]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for name in "abcdef":
        lines = (f"text {n} of {name}" for n in range(100))
        write(made / f"{name}.jsonl", *lines)
    return made


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))


@pytest.fixture
def prepare(folder: Path, server: OpenAIServer) -> Run:
    """Make a run over the folder, ready to go."""

    def made(**more: Any) -> Ingestion:
        keep = more.pop("keep", None)
        fields = {
            "store": f"sqlite:///{folder.parent}/s.db",
            "embedder": "openai:test",
            "base_url": server.base_url,
            "concurrency": 2,
            **more,
        }
        return Ingestion([str(folder)], settings=IngestSettings(**fields), keep=keep)

    return made


async def embedded(server: OpenAIServer, number: int) -> None:
    """Wait until the server has embedded so many texts."""
    async with asyncio.timeout(30):
        while len(server.embedded) < number:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.005)


async def test_law_1_never_pay_twice(
    folder: Path, server: OpenAIServer, prepare: Run
) -> None:
    await prepare(max_tokens=800, batch_size=16).run()  # stopped on the way
    assert (await prepare().run()).embedded < 600
    again = [await prepare().run()]
    (folder / "a.jsonl").rename(folder / "z.jsonl")
    again.append(await prepare().run())
    assert [report.requests for report in again] == [0, 0]
    write(folder / "b.jsonl", "new", *(f"text {n} of b" for n in range(99)))
    assert (await prepare().run()).embedded == 1
    paid_twice = [name for name, times in server.embedded.items() if times > 1]
    assert len(paid_twice) == len(CANARY_TEXTS)


async def test_law_2_never_lie(
    folder: Path, server: OpenAIServer, prepare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.poison = "text 7 of"
    (folder / "g.jsonl").write_text('{"text": "good"}\n{oops}\n')
    for _ in range(2):
        report = await prepare(keep=lambda chunk: "text 9 of" not in chunk.text).run()
        assert (report.read, report.filtered, report.dead) == (602, 6, 7)
        assert report.stored + report.unchanged == 602 - 6 - 7
    run = prepare(store=f"sqlite:///{folder.parent}/other.db")
    genuine = IngestReport.check

    def lose_one(self: IngestReport) -> None:
        self.stored -= 1
        genuine(self)

    monkeypatch.setattr(IngestReport, "check", lose_one)
    with pytest.raises(ConservationError):
        await run.run()


async def test_law_3_the_old_version_answers_until_the_new_is_durable(
    folder: Path, prepare: Run
) -> None:
    store = f"sqlite:///{folder.parent}/s.db"
    await prepare().run()
    write(folder / "a.jsonl", *(f"newer {n} " + "word " * 20 for n in range(2000)))
    stopped = prepare(max_tokens=20_000, batch_size=16)
    await stopped.run()
    assert stopped.exhausted
    assert len(texts(folder.parent / "s.db")) == 600, "the old version, whole"
    (hit, *_) = await search("text 99 of a", store=store, mode="lexical")
    assert hit.text.startswith("text 99")
    await prepare().run()
    found = texts(folder.parent / "s.db")
    assert len(found) == 500 + 2000
    assert "text 99 of a" not in found, "not a row of the old version is left"


async def test_law_4_poison_is_isolated(
    folder: Path, server: OpenAIServer, prepare: Run
) -> None:
    server.poison = "text 50 of c"
    report = await prepare(batch_size=64).run()
    assert (report.stored, report.dead) == (599, 1)
    with SqliteStore(folder.parent / "s.db") as store:
        (letter,) = store.dead_letters()
    raw = (folder / "c.jsonl").read_bytes()[letter.start : letter.end]
    assert json.loads(raw)["text"] == letter.text == "text 50 of c"
    assert letter.reason == "'input' holds what the model cannot take."


async def test_law_5_deletes_are_guarded(folder: Path, prepare: Run) -> None:
    await prepare().run()
    (folder / "a.jsonl").unlink()
    told = prepare()
    await told.run()
    assert (told.vanished.vanished, told.report.deleted) == (1, 0)
    pruned = await prepare(prune=True).run()
    assert pruned.deleted == 100
    (folder / "b.jsonl").unlink()
    (folder / "c.jsonl").unlink()
    with pytest.raises(PruneRefused, match="is a disk not mounted"):
        await prepare(prune=True).run()
    assert len(texts(folder.parent / "s.db")) == 500
    assert (await prepare(prune=True, yes=True).run()).deleted == 200


async def test_law_6_spaces_never_mix(
    folder: Path, server: OpenAIServer, prepare: Run
) -> None:
    await prepare().run()
    requests = server.requests
    write(folder / "new.jsonl", "new")
    with pytest.raises(SpaceMismatch, match="use that embedder, or a new store"):
        await prepare(embedder="openai:other").run()
    assert server.requests == requests, "refused before anything is paid for"
    assert len(texts(folder.parent / "s.db")) == 600


async def test_law_7_memory_is_flat(memory_path: Path, server: OpenAIServer) -> None:
    sizes = {"small": 6_000, "large": 18_000}
    peaks = {}
    async with WarmProcess(memory_path) as warm:
        for name, count in sizes.items():
            lines = (f"text {n} " + "word " * 60 for n in range(count))
            write(memory_path / f"{name}.jsonl", *lines)
            flags = ["--embedder", "openai:test", "--base-url", server.base_url]
            flags += ["--store", f"sqlite:///{name}.db", "--max-memory", "1M"]
            flags += ["--concurrency", "2", "--no-fulltext", "--json"]
            out = memory_path / "out"
            await warm.start("ingest", f"{name}.jsonl", *flags, out=out)
            assert await warm.ended() == DONE, out.read_text()
            peaks[name] = json.loads(out.read_text())["peak_memory_bytes"]
    assert peaks["large"] - peaks["small"] < 4 << 20


async def test_law_8_the_loop_never_blocks(
    prepare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = _adder.Adder.add

    def add_slowly(self: _adder.Adder, write: Any) -> Any:
        time.sleep(0.04)
        return add(self, write)

    def read_slowly(chunk: object) -> bool:
        time.sleep(0.001)
        return bool(chunk)

    monkeypatch.setattr(_adder.Adder, "add", add_slowly)
    run = prepare(keep=read_slowly, max_memory_bytes=1 << 20)
    report = await run.run()
    assert report.seconds > 0.6, "the disk and the reader were slow indeed"
    assert run.loop_lag_s.quantile_s(0.5) < 0.02, "and the loop did not wait for them"


async def test_law_9_one_interrupt_drains_two_stop_and_both_resume(
    folder: Path, server: OpenAIServer, prepare: Run
) -> None:
    server.delay_s = 0.05
    drained = prepare(batch_size=8)
    going = asyncio.create_task(drained.run())
    await embedded(server, 80)
    drained.drain()
    report = await going
    assert drained.interrupted
    assert report.stored < 600
    kept = len(server.embedded) - len(CANARY_TEXTS)
    assert report.embedded == kept, "what was in flight is stored"
    stopped = prepare(batch_size=8)
    going = asyncio.create_task(stopped.run())
    await embedded(server, len(server.embedded) + 80)
    stopped.drain()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    last = await prepare().run()
    assert last.read == 600
    assert len(texts(folder.parent / "s.db")) == 600
