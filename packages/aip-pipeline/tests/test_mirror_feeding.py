"""A mirror is brought up to the record, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import aip_process
from openai_server import OpenAIServer
from pinecone_server import KEY, PineconeServer
from shelf import Died, Shelf

from aip_pipeline import (
    Ingestion,
    IngestReport,
    IngestSettings,
    Mirror,
    MirrorError,
    PruneRefused,
    StoreError,
    export,
    ingest,
    ingest_sync,
    retry_dead,
    verify,
)
from aip_pipeline.stores import SqliteStore, _ledger


@pytest.fixture
async def pinecone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PineconeServer]:
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    async with PineconeServer() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "in"
    made.mkdir()
    for name in "ab":
        write(made / f"{name}.jsonl", *(f"text {n} of {name}" for n in range(20)))
    return made


def write(path: Path, *lines: str) -> None:
    path.write_text(
        "".join(json.dumps({"text": line, "n": 1}) + "\n" for line in lines)
    )


def wanted() -> dict[str, tuple[str, int, bytes]]:
    """Return what the record holds: of each row its text, place and vector."""
    return {one.id: (one.text, one.start, one.vector) for one in export()}


def held(mirror: Shelf) -> dict[str, tuple[object, object, bytes]]:
    return {
        name: (row.metadata["text"], row.metadata["start"], row.vector)
        for name, row in mirror.rows.items()
    }


def stored_in(server: PineconeServer) -> dict[str, tuple[object, object, bytes]]:
    return {
        name: (
            row["metadata"]["text"],
            row["metadata"]["start"],
            np.array(row["values"], "<f4").tobytes(),
        )
        for name, row in server.rows.items()
    }


async def test_an_ingest_brings_the_mirror_up_to_the_record(
    folder: Path, pinecone: PineconeServer
) -> None:
    report = await ingest("in", mirror=pinecone.spec)
    assert (report.stored, report.mirrored, report.mirror_behind) == (40, 40, 0)
    assert stored_in(pinecone) == wanted()
    texts = {row["metadata"]["text"]: row["metadata"] for row in pinecone.rows.values()}
    assert texts["text 0 of a"] == {
        "source": str(folder / "a.jsonl"),
        "start": 0,
        "end": 31,
        "line": 1,
        "within_start": 0,
        "within_end": 11,
        "text": "text 0 of a",
        "n": 1,
    }


async def test_an_unchanged_rerun_asks_the_mirror_nothing(
    folder: Path, pinecone: PineconeServer
) -> None:
    del folder
    await ingest("in", mirror=pinecone.spec)
    before = pinecone.requests
    again = await ingest("in", mirror=pinecone.spec)
    assert (again.mirrored, again.mirror_behind) == (0, 0)
    assert pinecone.requests == before


async def test_a_mirror_named_later_is_filled_without_an_embedding(
    folder: Path, pinecone: PineconeServer, server: OpenAIServer
) -> None:
    del folder
    given: dict[str, Any] = {"embedder": "openai:test", "base_url": server.base_url}
    await ingest("in", **given)
    paid = server.requests
    report = await ingest("in", mirror=pinecone.spec, **given)
    assert (report.mirrored, server.requests) == (40, paid)
    assert stored_in(pinecone) == wanted()


async def test_faults_on_the_way_lose_nothing(
    folder: Path, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 3)
    pinecone.fault_rate = 0.3
    await ingest("in", mirror=pinecone.spec)
    write(folder / "a.jsonl", "a new one")
    await ingest("in", mirror=pinecone.spec)
    assert stored_in(pinecone) == wanted()


async def test_a_page_is_bounded_by_its_bytes_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    monkeypatch.setattr(_ledger, "PAGE_BYTES", 3000)
    shelf = Shelf()
    await ingest("in", mirror=shelf)
    assert {len(ids) for _, ids in shelf.log} == {2}
    assert held(shelf) == wanted()


async def test_the_new_version_is_there_before_the_old_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 3)
    shelf = Shelf()
    await ingest("in", mirror=shelf)
    old = set(shelf.rows)
    shelf.log.clear()
    write(folder / "a.jsonl", *(f"newer {n}" for n in range(10)))
    await ingest("in", mirror=shelf)
    kinds = [what for what, _ in shelf.log]
    assert kinds == sorted(kinds, reverse=True), "every upsert, then the deletes"
    deleted = {name for what, ids in shelf.log if what == "delete" for name in ids}
    assert deleted == old - wanted().keys()
    assert held(shelf) == wanted()


async def test_what_did_not_change_in_a_changed_source_is_not_sent_again(
    folder: Path,
) -> None:
    shelf = Shelf()
    await ingest("in", mirror=shelf)
    with (folder / "a.jsonl").open("a") as file:
        file.write('{"text": "one more", "n": 1}\n')
    report = await ingest("in", mirror=shelf)
    assert report.mirrored == 1
    assert held(shelf) == wanted()


async def test_a_row_whose_place_moved_is_sent_again(folder: Path) -> None:
    shelf = Shelf()
    await ingest("in", mirror=shelf)
    raw = (folder / "a.jsonl").read_text()
    (folder / "a.jsonl").write_text("\n" + raw)  # same texts, one byte further on
    report = await ingest("in", mirror=shelf)
    assert report.mirrored == 20
    assert held(shelf) == wanted()


async def test_what_is_pruned_goes_and_comes_back_at_no_cost(
    folder: Path, server: OpenAIServer
) -> None:
    for name in "cdef":
        write(folder / f"{name}.jsonl", f"text of {name}")
    shelf = Shelf()
    given: dict[str, Any] = {"embedder": "openai:test", "base_url": server.base_url}
    await ingest("in", mirror=shelf, **given)
    raw = (folder / "f.jsonl").read_bytes()
    (folder / "f.jsonl").unlink()
    await ingest("in", mirror=shelf, prune=True, **given)
    assert held(shelf) == wanted()
    assert len(shelf.rows) == 43
    paid = server.requests
    # Its rows get the numbers that those deleted had.
    (folder / "f.jsonl").write_bytes(raw)
    await ingest("in", mirror=shelf, **given)
    assert (held(shelf), server.requests) == (wanted(), paid)
    assert len(shelf.rows) == 44


async def test_a_prune_that_is_refused_does_not_keep_the_mirror_behind(
    folder: Path,
) -> None:
    await ingest("in")
    (folder / "a.jsonl").unlink()
    write(folder / "c.jsonl", "one more")
    shelf = Shelf()
    with pytest.raises(PruneRefused):
        await ingest("in", mirror=shelf, prune=True)
    assert (len(shelf.rows), held(shelf)) == (41, wanted())


async def test_a_dead_letter_that_is_revived_is_told_by_the_next_run(
    folder: Path, server: OpenAIServer
) -> None:
    del folder
    server.poison = "text 7 of a"
    shelf = Shelf()
    given: dict[str, Any] = {"embedder": "openai:test", "base_url": server.base_url}
    await ingest("in", mirror=shelf, **given)
    assert len(shelf.rows) == 39
    server.poison = None
    await retry_dead(base_url=server.base_url)
    await ingest("in", mirror=shelf, **given)
    assert (len(shelf.rows), held(shelf)) == (40, wanted())


async def test_two_mirrors_of_one_record_are_fed_apart(
    folder: Path, pinecone: PineconeServer
) -> None:
    await ingest("in", mirror=pinecone.spec)
    write(folder / "a.jsonl", "another")
    shelf = Shelf()
    await ingest("in", mirror=shelf)
    assert held(shelf) == wanted() != stored_in(pinecone)
    await ingest("in", mirror=pinecone.spec)
    assert stored_in(pinecone) == wanted()


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
    monkeypatch.setattr("aip_pipeline._mirroring.DELETED_AT_ONCE", 4)
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
    pinecone.poison = None
    assert (await ingest("in", mirror=pinecone.spec)).mirrored == 1
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
