"""A real store, corrupted by SQL: each fault is found, and mended at no cost."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Aip
from stored import rows, texts

from aip_pipeline import (
    Fault,
    SpaceMismatch,
    StoreError,
    ingest_sync,
    open_store,
    search,
    verify,
)

NAN = np.full(256, np.nan, np.float32).tobytes()


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ingest two small files, one of which has a dead letter."""
    made = tmp_path_factory.mktemp("verify") / "notes"
    made.mkdir()
    lines = [json.dumps({"text": f"text number {n}", "n": n}) for n in range(8)]
    (made / "a.jsonl").write_text("\n".join([*lines, "{oops}"]))
    (made / "b.txt").write_text("Boil water and pour it over the leaves.")
    ingest_sync(str(made), store=f"sqlite:///{made}.db")
    return made


@pytest.fixture
def notes(aip: Aip, ingested: Path) -> Path:
    """Put a copy of the store into the working folder."""
    shutil.copy(f"{ingested}.db", aip.folder / "aip.db")
    return ingested


def execute(*statements: str, args: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement, args)


def found(*, repair: bool = False) -> list[Fault]:
    return list(verify(repair=repair))


# What is done to the store, which check sees it, what is said, what mends it.
CORRUPTIONS = [
    (
        "UPDATE chunk SET text = 'other' WHERE id = 3",
        ["fulltext", "chunk"],
        "chunk 2 at byte 68: its text is not the one that its hash names",
    ),
    ("UPDATE chunk SET text = x'ff' WHERE id = 3", ["fulltext", "chunk"], "its text"),
    ("UPDATE chunk SET metadata = '{' WHERE id = 3", ["chunk"], "is not JSON"),
    ("DELETE FROM embedding WHERE id = 2", ["vector"], "it has no vector"),
    (
        "UPDATE embedding SET vector = x'00' WHERE id = 2",
        ["vector"],
        "its vector has 1 bytes instead of 1024",
    ),
    ("UPDATE embedding SET vector = 7 WHERE id = 2", ["vector"], "vector is empty"),
    ("UPDATE embedding SET vector = x''", ["vector"] * 9, "vector is empty"),
    (
        f"UPDATE embedding SET vector = x'{NAN.hex()}' WHERE id = 2",  # noqa: S608  # ours
        ["vector"],
        "numbers that are not finite",
    ),
    (
        "UPDATE embedding SET vector = zeroblob(1024) WHERE id = 2",
        ["vector"],
        "its vector is zero",
    ),
    (
        "INSERT INTO embedding (text_hash, vector) VALUES ('h', x'00')",
        ["vector"],
        "which no chunk uses: its vector has 1 bytes instead of 1024",
    ),
    ("DELETE FROM chunk WHERE id = 4", ["count"], "8 chunks are counted but 7"),
    ("DELETE FROM dead", ["count"], "1 dead are counted but 0 are stored"),
    ("UPDATE source SET chunks = 3 WHERE id = 1", ["count"], "3 chunks are counted"),
    ("UPDATE source SET next_chunks = 3", ["count", "count"], "3 new chunks are"),
    (
        "UPDATE chunk SET generation = 7 WHERE id = 4",
        ["orphan", "count"],
        "1 chunk rows of generation 7 belong to no version",
    ),
    (
        "UPDATE dead SET generation = 2",
        ["orphan", "count"],
        "1 dead rows of generation 2 belong to no version",
    ),
    (
        "UPDATE chunk SET source = 99 WHERE id = 4",
        ["orphan", "count"],
        "source 99, which is not there: 1 chunk rows of generation 1",
    ),
    ("DELETE FROM chunk_fts_data WHERE id > 10", ["fulltext"], "does not agree"),
    ("DROP TRIGGER chunk_removed", ["fulltext"], "table or trigger of it is missing"),
    ("DROP TABLE chunk_fts", ["fulltext"], "table or trigger of it is missing"),
]


@pytest.mark.parametrize(("statement", "checks", "said"), CORRUPTIONS)
def test_each_fault_is_found_mended_and_gone_after_an_ingest(
    aip: Aip, notes: Path, statement: str, checks: list[str], said: str
) -> None:
    good = rows(aip.folder / "aip.db")
    assert found() == []
    execute(statement)
    seen = aip("verify")
    assert seen.code == 1
    assert [line.split(":")[0] for line in seen.lines[:-1]] == checks
    assert said in seen.out
    repaired = aip("verify", "--repair")
    assert [line.split(":")[0] for line in repaired.lines[:-1]] == checks
    assert "--repair" not in repaired.out
    report = ingest_sync(str(notes))
    assert report.read == 10
    assert report.embedded <= checks.count("vector"), "only what was lost is paid for"
    assert repaired.code == int(bool(report.stored))
    assert found() == []
    after = rows(aip.folder / "aip.db")
    for table in ("words", "dead"):
        assert after[table] == good[table]
    assert len(texts(aip.folder / "aip.db")) == 9


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM chunk",
        "DELETE FROM chunk WHERE id = 4",
        "DELETE FROM embedding",
    ],
)
def test_a_run_does_not_call_unchanged_what_was_deleted_from_outside(
    aip: Aip, notes: Path, loss: str
) -> None:
    execute(loss)
    ran = aip("ingest", str(notes))
    assert ran.code == 1
    assert "rows are missing from the store at aip.db" in ran.err
    assert "run `aip verify --repair`, then ingest again" in ran.err
    aip("verify", "--repair")
    report = ingest_sync(str(notes))
    assert report.stored
    assert found() == []
    assert len(texts(aip.folder / "aip.db")) == 9


def test_a_sound_store_is_said_to_be_sound(aip: Aip, notes: Path) -> None:
    ran = aip("verify")
    assert (ran.code, ran.out) == (0, "sqlite:///aip.db: all agrees\n")
    assert aip("verify", "--json").out == ""
    assert aip("verify", "--repair").code == 0
    del notes


def test_json_is_one_object_a_fault(aip: Aip, notes: Path) -> None:
    execute("DELETE FROM embedding WHERE id = 2")
    ran = aip("verify", "--json")
    (line,) = ran.lines
    assert json.loads(line) == {
        "check": "vector",
        "where": f"{notes / 'a.jsonl'}, chunk 1 at byte 34",
        "what": "it has no vector",
        "remedy": "ingest",
        "mended": False,
    }


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunk SET metadata = '{' WHERE id = 3",
        "DELETE FROM embedding WHERE id = 2",
        "UPDATE meta SET value = '[]' WHERE key = 'canaries'",
    ],
)
def test_what_is_marked_already_is_not_to_be_marked_again(
    aip: Aip, notes: Path, damage: str
) -> None:
    execute(damage)
    assert ": mark it with --repair, then ingest the source again" in aip("verify").out
    aip("verify", "--repair")
    again = aip("verify")
    assert again.code == 1
    assert again.lines[0].endswith(": ingest the source again")
    assert "--repair" not in again.out
    assert again.lines[-1].endswith(": 1 fault, 0 mended, 1 marked for a new ingest")
    ingest_sync(str(notes))
    assert found() == []


async def test_a_marked_source_answers_until_it_is_read_again(
    aip: Aip, notes: Path
) -> None:
    execute("UPDATE chunk SET metadata = '{' WHERE id = 3")
    assert aip_repair_marks() == ["chunk"]
    hits = await search("boil water", k=1)
    assert hits[0].source == str(notes / "b.txt")
    del aip


def aip_repair_marks() -> list[str]:
    return [fault.check for fault in verify(repair=True)]


def canaries() -> list[str]:
    with closing(sqlite3.connect("aip.db")) as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'canaries'").fetchone()
    return list(json.loads(row[0]))


def put_canaries(written: str | None) -> None:
    if written is None:
        execute("DELETE FROM meta WHERE key = 'canaries'")
    else:
        execute("UPDATE meta SET value = ? WHERE key = 'canaries'", args=(written,))


NONE_SOUND = "so none is sound: once marked, the next run's model is believed"
# What becomes of the three genuine canaries, and what is said of it.
DAMAGES: list[tuple[Callable[[list[str]], str | None], str]] = [
    (lambda _: None, f"there are none, {NONE_SOUND}"),
    (lambda _: "nonsense", f"they are not a list, {NONE_SOUND}"),
    (lambda _: "{}", f"they are not a list, {NONE_SOUND}"),
    (lambda _: "[1, 2, 3]", f"one is not base64, {NONE_SOUND}"),
    (lambda _: "[]", f"there are 0 instead of 3, {NONE_SOUND}"),
    (lambda all_: json.dumps(["=", *all_[1:]]), "one is not base64"),
    (lambda all_: json.dumps(all_[1:]), "there are 2 instead of 3"),
    (
        lambda all_: json.dumps([all_[0][:-8], *all_[1:]]),
        "one has 1020 bytes instead of 1024",
    ),
    (
        lambda all_: json.dumps([base64.b64encode(NAN).decode(), *all_[1:]]),
        "one has numbers that are not finite",
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_damaged_canaries_are_found_and_made_anew(
    aip: Aip, notes: Path, damage: Callable[[list[str]], str | None], said: str
) -> None:
    genuine = canaries()
    put_canaries(damage(genuine))
    seen = aip("verify")
    assert seen.code == 1
    assert seen.lines[0].startswith(f"canary: the canaries: {said}: mark it with")
    assert seen.lines[-1].endswith(": 1 fault, 0 mended")
    repaired = aip("verify", "--repair")
    assert repaired.code == 1
    assert repaired.lines[-1].endswith(": 1 fault, 0 mended, 1 marked for a new ingest")
    report = ingest_sync(str(notes))
    assert (report.unchanged, report.stored, report.embedded) == (9, 0, 0)
    assert found() == []
    assert canaries() == genuine


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_a_run_is_refused_while_canaries_are_damaged(
    notes: Path, damage: Callable[[list[str]], str | None], said: str
) -> None:
    put_canaries(damage(canaries()))
    with pytest.raises(StoreError, match="canaries are damaged") as caught:
        ingest_sync(str(notes))
    assert f"({said})" in str(caught.value)


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_a_swapped_model_is_refused_by_the_canaries_that_a_repair_kept(
    notes: Path, damaged: int
) -> None:
    genuine = canaries()
    others = [
        base64.b64encode(
            np.roll(np.frombuffer(base64.b64decode(one), "<f4"), 1).tobytes()
        )
        for one in genuine
    ]
    kept: list[str] = [one.decode() for one in others]
    kept[damaged] = "="
    put_canaries(json.dumps(kept))
    assert aip_repair_marks() == ["canary"]
    with pytest.raises(SpaceMismatch, match="no longer the one"):
        ingest_sync(str(notes))


def test_a_run_does_not_go_on_without_the_canaries_that_were_there(
    aip: Aip, notes: Path
) -> None:
    execute("UPDATE meta SET value = '[7]' WHERE key = 'canaries'")
    (aip.folder / "new.txt").write_text("A new text.")
    ran = aip("ingest", "new.txt")
    assert ran.code == 1
    assert "the store's canaries are damaged" in ran.err
    assert "run `aip verify --repair`, then ingest again" in ran.err
    del notes


def test_an_index_that_lost_a_row_is_built_anew(notes: Path) -> None:
    del notes
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        select = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master"
        index = db.execute(f"{select} WHERE name = 'dead_by_source'").fetchone()
        db.execute("PRAGMA writable_schema = ON")
        db.execute("DELETE FROM sqlite_master WHERE name = 'dead_by_source'")
    execute("UPDATE dead SET generation = generation")
    execute(
        """INSERT INTO dead (source, generation, span_start, reason, attempts)
        VALUES (1, 1, 0, 'x', 1)"""
    )
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)
    faults = found()
    assert {fault.check for fault in faults} == {"sqlite"}
    assert any("missing from index dead_by_source" in fault.what for fault in faults)
    assert all(fault.mended for fault in found(repair=True))
    assert found() == []


def test_damage_beyond_repair_asks_for_a_backup(aip: Aip, notes: Path) -> None:
    del notes
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        where = "SELECT rootpage FROM sqlite_master WHERE name = 'embedding'"
        (page,) = db.execute(where).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with (aip.folder / "aip.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 40)
    ran = aip("verify", "--repair")
    assert ran.code == 1
    assert "restore a backup, or ingest into a new store" in ran.out + ran.err


def test_a_run_and_a_verification_keep_each_other_out(notes: Path) -> None:
    del notes
    with open_store("sqlite:///aip.db") as writing:
        writing.claim(spec="local:l2_supercat", base_url=None, fulltext=None)
        with pytest.raises(StoreError, match="another run is writing"):
            next(verify())


def test_a_verification_left_early_repairs_nothing(notes: Path) -> None:
    del notes
    execute("DELETE FROM embedding")
    faults: Iterator[Fault] = verify(repair=True)
    next(faults)
    faults.close()  # type: ignore[attr-defined]  # a generator
    execute("UPDATE source SET fingerprint = fingerprint WHERE fingerprint IS NULL")
    with closing(sqlite3.connect("aip.db")) as db:
        query = "SELECT count(*) FROM source WHERE fingerprint IS NULL"
        assert db.execute(query).fetchone() == (0,)
