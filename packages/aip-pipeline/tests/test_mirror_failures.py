"""A mirror is brought up to the record, whatever fails on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import aip_process
from mirrored import held, stored_in, wanted, write
from pinecone_server import KEY, PineconeServer
from shelf import Died, Shelf

from aip_pipeline import (
    Ingestion,
    IngestReport,
    IngestSettings,
    Mirror,
    MirrorError,
    StoreError,
    ingest,
    ingest_sync,
    verify,
)
from aip_pipeline.stores import SqliteStore, _ledger

Change = Callable[[Path], None]


def grow(folder: Path) -> None:
    write(folder / "a.jsonl", *(f"text {n} of a" for n in range(0, 30, 2)))
    write(folder / "c.jsonl", *(f"text {n} of c" for n in range(6)))


def shrink(folder: Path) -> None:
    write(folder / "a.jsonl", *(f"text {n} of a" for n in range(20)))
    (folder / "c.jsonl").unlink(missing_ok=True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("then", [grow, shrink], ids=["on", "back"])
async def test_killed_at_any_call_the_next_run_makes_the_mirror_equal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, then: Change, *, after: bool
) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 4)
    shelf = Shelf()
    more: dict[str, Any] = {"mirror": shelf, "prune": True, "yes": True}
    for kill in range(1, 100):
        shrink(folder)
        await ingest("in", **more)
        assert held(shelf) == wanted()
        grow(folder)
        shelf.calls.clear()
        shelf.dies_at, shelf.after = kill, after
        try:
            await ingest("in", **more)
        except Died:
            shelf.dies_at = None
        else:
            break
        then(folder)
        await ingest("in", **more)
        assert held(shelf) == wanted(), f"killed at call {kill}"
    assert shelf.dies_at is not None
    assert shelf.dies_at > 8, "every call was one to die at"


@pytest.mark.parametrize("step", ["doubt", "acknowledge", "forget"])
async def test_killed_at_any_note_the_next_run_makes_the_mirror_equal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 4)
    shelf = Shelf()
    more: dict[str, Any] = {"mirror": shelf, "prune": True, "yes": True}
    await ingest("in", **more)
    genuine = getattr(_ledger.Ledger, step)
    for kill in range(1, 20):
        left = kill

        def dying(*args: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Died
            genuine(*args)

        grow(folder)
        with monkeypatch.context() as patched:
            patched.setattr(_ledger.Ledger, step, dying)
            try:
                await ingest("in", **more)
            except Died:
                pass
            else:
                break
        shrink(folder)
        await ingest("in", **more)
        assert held(shelf) == wanted()
    assert kill > 1


async def test_kill_9_in_the_midst_of_an_upsert_and_again_is_an_equal_mirror(
    folder: Path, pinecone: PineconeServer
) -> None:
    lines = (f"text {n} " + "word " * 40 for n in range(1200))
    write(folder / "big.jsonl", *lines)
    flags = ("ingest", "in", "--mirror", pinecone.spec, "--json")
    for kill_at in (1, 2, 1):
        process = await aip_process(*flags)

        def kill(name: str, at: int = kill_at, pid: int = process.pid) -> None:
            if name == "upsert" and pinecone.calls[name] == at:
                os.kill(pid, signal.SIGKILL)

        pinecone.on_request = kill
        pinecone.calls.clear()
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
    pinecone.on_request = None
    process = await aip_process(*flags)
    out, _ = await process.communicate()
    report = json.loads(out)
    assert (process.returncode, report["mirror_behind"]) == (0, 0)
    assert report["embedded"] == 0
    assert stored_in(pinecone) == wanted()


async def test_a_dead_mirror_neither_loses_nor_blocks_the_record(
    folder: Path, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    monkeypatch.setenv("PINECONE_API_KEY", "another")
    settings = IngestSettings(mirror=pinecone.spec)
    run = Ingestion(["in"], settings=settings)
    with pytest.raises(MirrorError) as caught:
        await run.run()
    assert str(caught.value).startswith(
        "the mirror is behind by 40 rows, though what was read is stored in "
        f"sqlite:///aip.db: no answer from {pinecone.spec}: 401 Invalid API Key"
    )
    assert "check the key in PINECONE_API_KEY; run the same command" in str(
        caught.value
    )
    report = run.report
    assert (report.stored, report.mirrored, report.mirror_behind) == (40, 0, 40)
    assert await asyncio.to_thread(lambda: list(verify())) == []
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    assert (await ingest("in", mirror=pinecone.spec)).mirrored == 40


async def test_a_row_that_is_refused_does_not_stop_the_rest(
    folder: Path, pinecone: PineconeServer
) -> None:
    del folder
    pinecone.poison = "text 7 of a"
    run = Ingestion(["in"], settings=IngestSettings(mirror=pinecone.spec))
    said = "behind by 1 row.*refused rows: 400 the row is not liked"
    with pytest.raises(MirrorError, match=said):
        await run.run()
    assert (run.report.mirrored, run.report.mirror_behind) == (39, 1)
    requests = pinecone.requests
    with pytest.raises(MirrorError, match=said) as caught:
        await ingest("in", mirror=pinecone.spec)
    assert (pinecone.requests, caught.value.exit_code) == (requests, 3)
    (one,) = (row for row in wanted() if row not in pinecone.rows)
    assert f"the first is {one} of " in str(caught.value)
    assert "a.jsonl: " in str(caught.value)
    faults = await asyncio.to_thread(lambda: list(verify(mirror=pinecone.spec)))
    assert [fault.check for fault in faults] == ["mirror-missing"]
    pinecone.poison = None
    await asyncio.to_thread(lambda: list(verify(mirror=pinecone.spec, repair=True)))
    assert (await ingest("in", mirror=pinecone.spec)).mirror_behind == 0
    assert stored_in(pinecone) == wanted()


async def test_few_rows_that_are_all_refused_are_sent_again(
    folder: Path, pinecone: PineconeServer
) -> None:
    write(folder / "few.jsonl", "one", "two")
    pinecone.dimensions, genuine = 8, pinecone.dimensions
    for _ in range(2):
        requests = pinecone.requests
        with pytest.raises(MirrorError, match="Vector dimension 256") as caught:
            await ingest("in/few.jsonl", mirror=pinecone.spec)
        assert (pinecone.requests > requests, caught.value.exit_code) == (True, 1)
    pinecone.dimensions = genuine
    await ingest("in/few.jsonl", mirror=pinecone.spec)
    assert stored_in(pinecone) == wanted()


async def test_a_mirror_that_refuses_everything_is_not_asked_for_every_row(
    folder: Path, pinecone: PineconeServer
) -> None:
    write(folder / "c.jsonl", *(f"text {n}" for n in range(400)))
    pinecone.dimensions = 8
    said = "Vector dimension 256 does not match the dimension of the index 8"
    with pytest.raises(MirrorError, match=said):
        await ingest("in", mirror=pinecone.spec)
    assert pinecone.requests < 60


async def test_an_interrupt_leaves_the_rest_to_the_next_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 4)
    shelf = Shelf()
    run = Ingestion(["in"], settings=IngestSettings(), mirror=shelf)
    genuine = shelf.upsert

    async def upsert(rows: Any) -> None:
        assert run.waits_for == "the mirror"
        await genuine(rows)
        run.drain()

    shelf.upsert = upsert  # type: ignore[method-assign]  # a mirror that is interrupted
    report = await run.run()
    assert run.interrupted
    assert (report.mirrored, report.mirror_behind) == (4, 36)
    shelf.upsert = genuine  # type: ignore[method-assign]  # as it was
    assert (await ingest("in", mirror=shelf)).mirrored == 36
    assert held(shelf) == wanted()


async def test_an_interrupt_while_the_mirror_is_down_waits_for_nothing(
    folder: Path, pinecone: PineconeServer
) -> None:
    del folder
    pinecone.fault_rate = 1
    run = Ingestion(["in"], settings=IngestSettings(mirror=pinecone.spec))
    loop = asyncio.get_running_loop()
    interrupted_at = 0.0

    def interrupt(name: str) -> None:
        nonlocal interrupted_at
        if pinecone.calls[name] == 3:
            interrupted_at = loop.time()
            run.drain()

    pinecone.on_request = interrupt
    report = await run.run()
    assert loop.time() - interrupted_at < 1, "the client tries for longer"
    assert (report.mirrored, report.mirror_behind) == (0, 40)
    pinecone.fault_rate, pinecone.on_request = 0, None
    await ingest("in", mirror=pinecone.spec)
    assert stored_in(pinecone) == wanted()


async def test_a_run_that_slips_in_before_the_mirror_is_told_as_its_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    run = Ingestion(["in"], settings=IngestSettings(), mirror=Shelf())
    feed = run._mirroring.run_after
    with SqliteStore("aip.db") as other:

        async def slip_in(*given: Any, **more: Any) -> None:
            other.claim(spec=run._embedder.spec, base_url=None, fulltext=None)
            await feed(*given, **more)

        monkeypatch.setattr(run._mirroring, "run_after", slip_in)
        with pytest.raises(MirrorError, match=r"is behind, .*: another run is"):
            await run.run()
    assert run.report.stored == 40


async def test_a_run_interrupted_before_does_not_begin_with_the_mirror(
    folder: Path,
) -> None:
    del folder
    await ingest("in")
    shelf = Shelf()
    run = Ingestion(["in"], settings=IngestSettings(), mirror=shelf)
    run.drain()
    report = await run.run()
    assert not shelf.calls
    assert report.mirror_behind == 40, "and says so"


async def test_a_chunk_without_a_vector_is_not_passed_over(folder: Path) -> None:
    del folder
    await ingest("in")
    with SqliteStore("aip.db") as store:
        store._db.execute("DELETE FROM embedding WHERE id = 3")
    with pytest.raises(StoreError, match="has no vector in the store: run"):
        await ingest("in", mirror=Shelf())


async def test_a_store_that_was_claimed_and_has_a_ledger_is_free_when_it_is_closed(
    folder: Path,
) -> None:
    del folder
    with SqliteStore("aip.db") as store:
        store.claim(spec="local:l2_supercat", base_url=None, fulltext=None)
        store.ledger("shelf")
    assert (await ingest("in", mirror=Shelf())).mirrored == 40


def test_without_an_event_loop_it_is_the_same(folder: Path) -> None:
    del folder
    shelf: Mirror = Shelf()
    assert ingest_sync("in", mirror=shelf).mirrored == 40
    assert ingest_sync("in", mirror=shelf).mirrored == 0
    assert IngestReport().mirror_behind == 0
