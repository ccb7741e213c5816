"""The ledger's rarer ways: resuming, retiring, refusing; what no other test goes."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from stored import texts
from test_store_sqlite import part, unit

from aip_pipeline import (
    ConfigError,
    Ingestion,
    IngestReport,
    IngestSettings,
    SpaceMismatch,
    StoreError,
    _pruning,
    _reading,
    _writing,
)
from aip_pipeline._batching import Batcher, Ticket
from aip_pipeline._budget import BudgetClosed, ByteBudget
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline._pruning import forget_vanished
from aip_pipeline._reading import Fresh, Page
from aip_pipeline._waiting import ended, settle
from aip_pipeline.embedders import BatchProfile
from aip_pipeline.stores import DeadLetter, Poison, Settled, SqliteStore, Write
from aip_readers import MissingExtraError, OpenError, ParseError, Record


def settings(tmp_path: Path, server: OpenAIServer, **more: Any) -> IngestSettings:
    return IngestSettings(
        store=f"sqlite:///{tmp_path}/s.db",
        embedder="openai:test",
        base_url=server.base_url,
        concurrency=1,
        **more,
    )


def write_lines(path: Path, count: int) -> None:
    good = [f'{{"text": "text number {n}"}}' for n in range(count)]
    good[3] = "{oops}"
    path.write_text("\n".join(good) + "\n")


async def stopped_early(path: Path, used: IngestSettings) -> IngestReport:
    """Leave a source of 600 records half read: its first pages are stored."""
    run = Ingestion([str(path)], settings=replace(used, max_tokens=1500, batch_size=16))
    report = await run.run()
    assert run.exhausted
    assert 100 < report.stored < 400
    return report


async def test_damage_told_by_an_interrupted_run_is_not_told_twice(
    tmp_path: Path, server: OpenAIServer
) -> None:
    write_lines(tmp_path / "a.jsonl", 600)
    used = settings(tmp_path, server)
    assert (await stopped_early(tmp_path / "a.jsonl", used)).dead == 1
    report = await Ingestion([str(tmp_path / "a.jsonl")], settings=used).run()
    assert (report.read, report.dead) == (600, 1)
    with SqliteStore(tmp_path / "s.db") as store:
        assert [letter.line for letter in store.dead_letters()] == [4]


async def test_damage_without_a_place_is_told_once_each(
    tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = (1, 5, 450, 455)

    @contextmanager
    def opened(*_: Any, on_error: Any, **__: Any) -> Iterator[Iterator[Record]]:
        def pages() -> Iterator[Record]:
            for n in range(600):
                if n in bad:
                    on_error(ParseError("a.pdf", None, None, f"page {n} is broken"))
                else:
                    yield Record("a.pdf", f"page number {n}", 0, 9, 1, str(n), {})

        yield pages()

    monkeypatch.setattr(_reading, "open_source", opened)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    used = settings(tmp_path, server)
    assert (await stopped_early(tmp_path / "a.pdf", used)).dead == 2
    report = await Ingestion([str(tmp_path / "a.pdf")], settings=used).run()
    assert (report.read, report.dead) == (600, 4)
    with SqliteStore(tmp_path / "s.db") as store:
        told = {letter.reason for letter in store.dead_letters()}
    assert told == {f"page {n} is broken" for n in bad}


async def test_a_source_that_cannot_be_opened_now_is_gone_on_with_later(
    tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    write_lines(path, 600)
    used = settings(tmp_path, server)
    await stopped_early(path, used)
    embedded = len(server.embedded)

    def refuse(*_: Any, **__: Any) -> Any:
        raise OpenError(str(path), None, None, "permission denied")

    monkeypatch.setattr(_reading, "open_source", refuse)
    told: list[DeadLetter] = []
    refused = Ingestion([str(path)], settings=used, on_dead=told.append)
    assert (await refused.run()).dead == 2, "the bad line, and the source"
    assert [letter.reason for letter in told] == ["permission denied"]
    monkeypatch.undo()
    report = await Ingestion([str(path)], settings=used).run()
    assert (report.read, report.dead) == (600, 1)
    twice = [count for count in server.embedded.values() if count > 1]
    assert len(twice) == len(CANARY_TEXTS)
    assert len(server.embedded) > embedded


async def test_a_file_that_lacked_an_extra_is_read_once_it_is_there(
    tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("readable with an extra")

    def lack(*_: Any, **__: Any) -> Any:
        raise MissingExtraError(str(path), "pdf", "pypdfium2")

    monkeypatch.setattr(_reading, "open_source", lack)
    used = settings(tmp_path, server)
    for _ in range(2):
        report = await Ingestion([str(path)], settings=used).run()
        assert (report.read, report.dead) == (1, 1)
    monkeypatch.undo()
    report = await Ingestion([str(path)], settings=used).run()
    assert (report.read, report.stored, report.dead) == (1, 1, 0)


async def test_a_model_of_other_dimensions_under_the_same_name_is_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("one")
    for dimensions, refused in ((16, False), (8, True)):
        async with OpenAIServer(dimensions=dimensions) as server:
            used = settings(tmp_path, server)
            run = Ingestion([str(tmp_path / "a.txt")], settings=used)
            if refused:
                with pytest.raises(SpaceMismatch, match=r"cosine 0\.000"):
                    await run.run()
            else:
                await run.run()
        (tmp_path / "a.txt").write_text("another")
    assert texts(tmp_path / "s.db") == ["one"]


async def test_suffixes_without_end_are_counted_together(
    tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reading, "MAX_SUFFIXES", 1)
    for name in ("a.txt", "a.xyz", "b.zyx", "c.xyz"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("one")
    used = settings(tmp_path, server)
    run = Ingestion([str(tmp_path / "in")], settings=used)
    await run.run()
    assert run.unknown == {".xyz": 2, "others": 1}


async def test_what_a_run_waits_for_is_named(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text("one")
    run = Ingestion([str(tmp_path / "a.txt")], settings=settings(tmp_path, server))
    report = await run.run()
    assert run.bottleneck == report.bottleneck
    assert run.waits_for


def test_more_vanished_sources_than_one_transaction_takes_are_all_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pruning, "REMOVED_AT_ONCE", 4)
    names = [str(tmp_path / f"{n}.txt") for n in range(11)]
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        for name in names:
            vectors = [(b"words".ljust(16), unit(1, 0))]
            whole = part(["words"], uri=name, restart=True, last=True)
            store.commit(Write(vectors=vectors, parts=[whole]))
        Path(names[5]).touch()
        found = _pruning.look_for_vanished([str(tmp_path)], store)
        assert (found.vanished, found.stored) == (10, 11)
        assert found.told().endswith("and 7 more")
        assert forget_vanished([str(tmp_path)], store) == (10, 10)
        assert list(store.uris()) == [names[5]]


def test_a_store_is_used_inside_its_with_only(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="used outside its `with`"):
        SqliteStore(tmp_path / "s.db").embedder()


def test_a_store_on_a_disk_that_cannot_be_written_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    with SqliteStore(path) as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        vectors = [(b"words".ljust(16), unit(1, 0))]
        whole = part(["words"], restart=True, last=True)
        store.commit(Write(vectors=vectors, parts=[whole]))
    there = sorted(tmp_path.iterdir())
    # The rights of a folder do not bind root, who may run this.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with SqliteStore(path, create=False) as store:
        assert store.status().chunks == 1
        assert len(store.by_words("words", k=5)) == 1
        assert sorted(tmp_path.iterdir()) == there, "nothing is written beside it"
        with pytest.raises(StoreError, match="readonly"):
            store.commit(Write(vectors=[(b"more".ljust(16), unit(1, 0))]))


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        db.execute("PRAGMA user_version = 7")
    with (
        pytest.raises(StoreError, match="has schema 7, this program reads 1"),
        SqliteStore(tmp_path / "s.db"),
    ):
        pass


def test_two_that_make_one_store_at_once_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, genuine = tmp_path / "s.db", SqliteStore._transaction
    first: list[bool] = []

    @contextmanager
    def overtaken(self: SqliteStore) -> Iterator[sqlite3.Connection]:
        if not first:
            first.append(True)
            with SqliteStore(path):
                pass
        with genuine(self) as db:
            yield db

    monkeypatch.setattr(SqliteStore, "_transaction", overtaken)
    with SqliteStore(path) as store:
        assert list(store.verify(repair=False)) == []


def test_full_text_cannot_be_left_out_later(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        with pytest.raises(ConfigError, match="was made with full text"):
            store.claim(spec="local", base_url=None, fulltext=False)


def test_a_lock_that_cannot_be_taken_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "s.db.lock").mkdir()
    with SqliteStore(tmp_path / "s.db") as store:
        with pytest.raises(StoreError, match="check the rights of its folder"):
            store.claim(spec="local", base_url=None, fulltext=None)
        assert not store._is_being_written(), "who runs there is not to be known"


def test_a_status_tells_whether_a_run_is_writing(tmp_path: Path) -> None:
    letter = part([], restart=True, last=True)
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        vectors = [(b"words".ljust(16), unit(1, 0))]
        store.commit(Write(vectors=vectors, parts=[letter]))
        with SqliteStore(tmp_path / "s.db") as other:
            assert other.status().running
    with SqliteStore(tmp_path / "s.db") as store:
        (tmp_path / "s.db.lock").touch()
        assert not store.status().running
        (tmp_path / "s.db.lock").unlink()
        assert not store.status().running


def test_a_file_held_by_another_program_is_told(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        store._db.execute("PRAGMA busy_timeout = 0")
        with closing(sqlite3.connect(tmp_path / "s.db")) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program holds"):
                store.commit(Write())


def test_a_file_held_by_another_program_cannot_be_verified(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        store._db.execute("PRAGMA busy_timeout = 0")
        with closing(sqlite3.connect(tmp_path / "s.db")) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program holds"):
                list(store.verify(repair=False))


def test_a_file_with_a_wrong_count_of_pages_is_beyond_repair(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
    with (tmp_path / "s.db").open("r+b") as file:
        file.seek(36)  # how many pages are free: the file format, section 1.3
        file.write(bytes([0, 0, 0, 5]))
    with SqliteStore(tmp_path / "s.db") as store:
        (fault,) = store.verify(repair=False)
    assert (fault.check, fault.remedy) == ("sqlite", "restore")


def test_a_vector_of_another_length_than_declared_is_a_fault(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="openai:test?dimensions=3", base_url=None, fulltext=None)
        canaries = json.dumps(["AAAAAAAAAAAAAAAA"] * len(CANARY_TEXTS))
        vectors = [(b"words".ljust(16), unit(1, 0))]
        store.commit(Write(canaries=canaries, vectors=vectors))
        (fault,) = store.verify(repair=False)
    assert fault.what == "its vector has 8 bytes instead of 12"


def test_a_dead_letter_is_revived_without_full_text(tmp_path: Path) -> None:
    name = b"bad".ljust(16)
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=False)
        whole = part(["bad"], restart=True, last=True)
        store.commit(Write(parts=[whole], poison={name: Poison("no", 1)}))
        (letter,) = store.dead_letters()
        assert letter.id is not None
        vectors = [(name, unit(1, 0))]
        store.settle(Settled(vectors=vectors, stored=[(letter.id, name)]))
        assert [entry.text for entry in store.entries()] == ["bad"]


async def test_a_waiter_that_left_is_passed_over_at_the_close() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiting = [asyncio.ensure_future(budget.acquire(5)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    budget.close()
    with pytest.raises(BudgetClosed):
        await waiting[1]
    assert budget.used_bytes == 10


async def test_a_batch_ends_before_it_has_too_many_bytes() -> None:
    profile = BatchProfile(max_texts=9, max_tokens=99, max_bytes=10)
    batcher = Batcher(lambda: profile, max_texts=9)
    fresh = [Fresh(bytes([n]), "é" * 3, 6) for n in range(3)]
    batcher.put(Ticket(Page(fresh=fresh), len(fresh)))
    batcher.close(workers=1)
    sizes = []
    while (batch := await batcher.get()) is not None:
        sizes.append((len(batch.items), batch.n_bytes))
    assert sizes == [(1, 6)] * 3


async def test_what_was_cancelled_is_neither_settled_nor_asked_why() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    settle(future)
    await ended(future)
    assert future.cancelled()


def test_a_transaction_ends_though_nothing_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writing, "MAX_TRANSACTION_S", 0.02)
    durable = threading.Event()
    writer = _writing.Writer(
        claimed=set(),
        poison={},
        on_added=lambda _: None,
        on_commit=lambda _: durable.set(),
    )
    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=False)
        thread = threading.Thread(target=writer.run, args=(store,))
        thread.start()
        writer.put(_writing.Canaries("written"))
        assert durable.wait(10)
        writer.close()
        thread.join(10)
        assert store.canaries() == "written"
