"""A mirror against the record: every fault is found, and mended without embedding."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from command import Aip
from mirrored import held, stored_in, wanted, write
from openai_server import OpenAIServer
from pinecone_server import KEY, PineconeServer
from served import Served
from shelf import Shelf

from aip_pipeline import Fault, Mirror, ingest_sync, open_store, verify
from aip_pipeline._mirror_check import compared
from aip_pipeline.stores import _ledger

Row = dict[str, Any]


@pytest.fixture
def embedding() -> Iterator[OpenAIServer]:
    with Served(OpenAIServer()) as started:
        yield started


@pytest.fixture
def pinecone(
    aip: Aip, monkeypatch: pytest.MonkeyPatch, embedding: OpenAIServer
) -> Iterator[PineconeServer]:
    """Serve a mirror of forty rows; nothing may be embedded from here on."""
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    (aip.folder / "in").mkdir()
    for name in "ab":
        path = aip.folder / "in" / f"{name}.jsonl"
        write(path, *(f"text {n} of {name}" for n in range(20)))
    with Served(PineconeServer()) as started:
        ingest("in", embedding, mirror=started.spec)
        embedding.statuses.clear()
        yield started
        assert embedding.requests == 0, "to verify and to mend costs no embedding"


def ingest(source: str, embedding: OpenAIServer, **more: Any) -> None:
    ingest_sync(source, embedder="openai:test", base_url=embedding.base_url, **more)


def row_of(server: PineconeServer, text: str) -> Row:
    (found,) = (r for r in server.rows.values() if r["metadata"].get("text") == text)
    return found


def lose(server: PineconeServer) -> None:
    del server.rows[row_of(server, "text 7 of a")["id"]]


def alter(server: PineconeServer) -> None:
    row_of(server, "text 7 of a")["values"][3] += 0.01


def shorten(server: PineconeServer) -> None:
    row_of(server, "text 7 of a")["values"].pop()


def reword(server: PineconeServer) -> None:
    row_of(server, "text 7 of a")["metadata"]["text"] = "other"


def mistell(server: PineconeServer) -> None:
    row = row_of(server, "text 7 of a")["metadata"]
    row["start"] += 1
    del row["n"]


def stray(server: PineconeServer) -> None:
    row = row_of(server, "text 7 of a")
    for name in ("0" * 32, "something else", "zzz"):
        server.rows[name] = {**row, "id": name}


FAULTS: list[tuple[Callable[[PineconeServer], None], list[str], str]] = [
    (lose, ["mirror-missing"], "a.jsonl, row "),
    (alter, ["mirror-vector"], "the mirror holds another vector"),
    (shorten, ["mirror-vector"], "the mirror holds another vector"),
    (reword, ["mirror-metadata"], "the mirror holds other metadata: text"),
    (mistell, ["mirror-metadata"], "the mirror holds other metadata: n, start"),
    (stray, ["mirror-extra"] * 3, "row zzz: the record does not hold it"),
]


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 6)


@pytest.mark.usefixtures("short_pages")
@pytest.mark.parametrize(("harm", "checks", "said"), FAULTS)
def test_each_fault_is_found_mended_and_gone(
    aip: Aip,
    pinecone: PineconeServer,
    harm: Callable[[PineconeServer], None],
    checks: list[str],
    said: str,
) -> None:
    good = stored_in(pinecone)
    harm(pinecone)
    flags = ("verify", "--mirror", pinecone.spec)
    seen = aip(*flags)
    assert seen.code == 1
    assert [line.split(":")[0] for line in seen.lines[:-1]] == checks
    assert said in seen.out
    assert all(line.endswith(": mend it with --repair") for line in seen.lines[:-1])
    mended = aip(*flags, "--repair")
    assert mended.code == 0
    assert [line.split(":")[0] for line in mended.lines[:-1]] == checks
    faults = f"{len(checks)} fault{'s' * (len(checks) > 1)}"
    both = f"sqlite:///aip.db and {pinecone.spec}"
    assert mended.lines[-1] == f"{both}: {faults}, {len(checks)} mended"
    assert stored_in(pinecone) == good
    again = aip(*flags)
    assert (again.code, again.out) == (0, f"{both}: all agrees\n")
    assert doubtful(pinecone.spec) == 0, "nothing is left to tell"


def doubtful(mirror: str) -> int:
    """Count the rows of which the ledger is not sure."""
    with closing(sqlite3.connect("aip.db")) as db:
        query = """SELECT count(*) FROM mirrored JOIN mirror ON mirror.id = mirror
            WHERE name = ? AND (digest IS NULL OR chunk IS NULL)"""
        return int(db.execute(query, (mirror,)).fetchone()[0])


def test_lost_upserts_are_found(
    aip: Aip, pinecone: PineconeServer, embedding: OpenAIServer
) -> None:
    write(aip.folder / "in" / "c.jsonl", "swallowed", "kept")
    pinecone.loses = "swallowed"
    ingest("in", embedding, mirror=pinecone.spec)
    embedding.statuses.clear()
    pinecone.loses = None
    (fault,) = verify(mirror=pinecone.spec)
    assert fault.check == "mirror-missing"
    assert list(verify(mirror=pinecone.spec, repair=True)) == [
        fault._replace(mended=True)
    ]
    assert stored_in(pinecone) == wanted()


def test_an_empty_mirror_is_rebuilt_and_the_next_run_has_nothing_to_tell(
    pinecone: PineconeServer, embedding: OpenAIServer
) -> None:
    pinecone.rows.clear()
    faults = list(verify(mirror=pinecone.spec, repair=True))
    assert Counter(fault.check for fault in faults) == {"mirror-missing": 40}
    assert stored_in(pinecone) == wanted()
    before = pinecone.requests
    ingest("in", embedding, mirror=pinecone.spec)
    assert pinecone.requests == before


def test_a_mirror_that_is_equal_is_adopted(
    pinecone: PineconeServer, embedding: OpenAIServer
) -> None:
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        db.execute("DELETE FROM mirrored")
    assert list(verify(mirror=pinecone.spec, repair=True)) == []
    before = pinecone.calls["upsert"]
    ingest("in", embedding, mirror=pinecone.spec)
    assert pinecone.calls["upsert"] == before


def test_json_is_one_object_a_fault(aip: Aip, pinecone: PineconeServer) -> None:
    alter(pinecone)
    ran = aip("verify", "--mirror", pinecone.spec, "--json")
    (line,) = ran.lines
    told = json.loads(line)
    assert told["where"].startswith(f"{aip.folder}/in/a.jsonl, row ")
    assert told["where"].endswith(f" at byte {224}")
    assert {**told, "where": ""} == {
        "check": "mirror-vector",
        "where": "",
        "what": "the mirror holds another vector",
        "remedy": "repair",
        "mended": False,
    }


def test_the_environment_and_the_file_name_a_mirror(
    aip: Aip, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(pinecone)
    assert aip("verify").code == 0
    (aip.folder / "aip.toml").write_text(f'mirror = "{pinecone.spec}"')
    assert aip("verify").code == 1
    shown = json.loads(aip("config", "--json").out)
    assert shown["mirror"] == {"value": pinecone.spec, "from": "aip.toml"}
    assert shown["pinecone_api_key"] == {"value": "set", "from": "PINECONE_API_KEY"}
    monkeypatch.setenv("AIP_MIRROR", "pinecone:nowhere")
    refused = aip("verify")
    assert refused.code == 2
    assert "write pinecone:https://INDEX-HOST" in refused.err


def test_more_than_a_fifth_is_not_deleted_without_yes(
    aip: Aip, pinecone: PineconeServer
) -> None:
    row = row_of(pinecone, "text 8 of a")
    lose(pinecone)
    for n in range(20):
        pinecone.rows[f"foreign {n}"] = {**row, "id": f"foreign {n}"}
    flags = ("verify", "--mirror", pinecone.spec, "--repair")
    refused = aip(*flags)
    assert refused.code == 1
    said = "nor 20 of the 59 rows there: is it this record's mirror? If so, add --yes"
    assert refused.out.count(f"{said}: not mended") == 20
    assert "--repair" not in refused.out
    assert refused.lines[-1].endswith("21 faults, 1 mended")
    assert len(pinecone.rows) == 60
    assert aip(*flags, "--yes").code == 0
    assert stored_in(pinecone) == wanted()


def test_a_row_that_the_mirror_refuses_is_left_and_said_so(
    pinecone: PineconeServer,
) -> None:
    pinecone.poison = "text 7 of a"
    lose(pinecone)
    alter_another = row_of(pinecone, "text 8 of a")
    alter_another["values"][0] += 0.5
    faults = list(verify(mirror=pinecone.spec, repair=True))
    assert [(fault.check, fault.mended) for fault in faults] == [
        ("mirror-missing", False),
        ("mirror-vector", True),
    ]
    assert "and refuses it (" in faults[0].what
    assert "400 the row is not liked" in faults[0].what


def test_a_refused_row_is_not_to_be_mended_by_what_was_tried(
    aip: Aip, pinecone: PineconeServer
) -> None:
    pinecone.poison = "text 7 of a"
    lose(pinecone)
    ran = aip("verify", "--mirror", pinecone.spec, "--repair")
    assert ran.code == 1
    assert ran.lines[0].endswith("400 the row is not liked): not mended")


def test_a_record_with_faults_is_mended_first(
    aip: Aip, pinecone: PineconeServer, embedding: OpenAIServer
) -> None:
    with closing(sqlite3.connect("aip.db", isolation_level=None)) as db:
        db.execute("UPDATE chunk SET text = 'other' WHERE id = 3")
    before = pinecone.requests
    flags = ("verify", "--mirror", pinecone.spec)
    seen, repaired = aip(*flags), aip(*flags, "--repair")
    for ran in (seen, repaired):
        assert ran.code == 1
        assert "the mirror was not compared: mend the faults of the record" in ran.err
    assert seen.lines[-1].endswith(": 2 faults, 0 mended")
    assert repaired.lines[-1].endswith(
        ": 2 faults, 1 mended, 1 marked for a new ingest"
    )
    assert pinecone.requests == before
    ingest("in", embedding, mirror=pinecone.spec)
    assert list(verify(mirror=pinecone.spec)) == []
    embedding.statuses.clear()


def test_a_mirror_that_does_not_answer_is_one_sentence(
    aip: Aip, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", "another")
    ran = aip("verify", "--mirror", pinecone.spec)
    assert (ran.code, ran.out) == (1, "")
    (line,) = ran.err.splitlines()
    assert line.startswith(
        "aip: error: the mirror was not compared to the end: no answer from "
        f"{pinecone.spec}: 401 Invalid API Key"
    )
    assert line.endswith("then verify again")


def test_the_summary_of_an_ingest_names_what_the_mirror_took(
    aip: Aip, pinecone: PineconeServer
) -> None:
    (aip.folder / "new.txt").write_text("Something new.")
    flags = ("--store", "sqlite:///new.db", "--mirror", pinecone.spec)
    assert "  the mirror took 1 row" in aip("ingest", "new.txt", *flags).lines
    assert "the mirror" not in aip("ingest", "new.txt", *flags).out


def test_an_ingest_whose_mirror_is_behind_fails_with_the_summary_whole(
    aip: Aip, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (aip.folder / "new.txt").write_text("Something new.")
    monkeypatch.setenv("PINECONE_API_KEY", "another")
    flags = ("--store", "sqlite:///new.db", "--mirror", pinecone.spec)
    told = aip("ingest", "new.txt", *flags)
    assert told.code == 1
    assert told.lines[1].startswith("  read 1 = stored 1 + unchanged 0")
    ran = aip("ingest", "new.txt", *flags, "--json")
    report = json.loads(ran.out)
    assert ran.code == 1
    assert (report["read"], report["mirrored"], report["mirror_behind"]) == (1, 0, 1)
    (line,) = ran.err.splitlines()
    assert line.startswith("aip: error: the mirror is behind by 1 row, though what ")


def test_a_run_that_a_budget_ends_says_so_by_its_code_though_the_mirror_is_behind(
    aip: Aip, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(aip.folder / "new.jsonl", *(f"text {n} " * 40 for n in range(300)))
    (aip.folder / "first.txt").write_text("Something new.")
    monkeypatch.setenv("PINECONE_API_KEY", "another")
    store = ("--store", "sqlite:///new.db")
    assert aip("ingest", "first.txt", *store).code == 0
    flags = (*store, "--mirror", pinecone.spec, "--max-tokens", "9")
    ran = aip("ingest", "first.txt", "new.jsonl", *flags)
    assert ran.code == 4
    assert ran.lines[0].startswith("Stopped")
    assert "aip: error: the mirror is behind by " in ran.err


def test_a_run_that_is_interrupted_says_so_by_its_code_though_the_mirror_fails(
    aip: Aip, pinecone: PineconeServer
) -> None:
    (aip.folder / "new.txt").write_text("Something new.")

    def interrupt(name: str) -> None:
        del name
        pinecone.on_request = None
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.05)  # until the run knows
        pinecone.key = "another"

    pinecone.on_request = interrupt
    flags = ("--store", "sqlite:///new.db", "--mirror", pinecone.spec)
    ran = aip("ingest", "new.txt", *flags)
    assert ran.code == 130
    assert "aip: error: the mirror is behind by 1 row" in ran.err


def test_an_interrupt_names_the_mirror_that_is_down(
    aip: Aip, pinecone: PineconeServer
) -> None:
    (aip.folder / "new.txt").write_text("Something new.")
    pinecone.failing = [503] * 99

    def interrupt(name: str) -> None:
        if pinecone.calls[name] == 6:  # five that failed are an outage
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.05)  # until the run knows

    pinecone.on_request = interrupt
    flags = ("--store", "sqlite:///new.db", "--mirror", pinecone.spec)
    ran = aip("ingest", "new.txt", *flags)
    assert ran.code == 130
    said = "aip: stopping: all that was read is stored, but the mirror is down, so only"
    assert ran.err.splitlines()[-1].startswith(said)


def test_a_mirror_without_a_key_stops_an_ingest_before_it_begins(
    aip: Aip, pinecone: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PINECONE_API_KEY")
    ran = aip("ingest", "in", "--store", "sqlite:///n.db", "--mirror", pinecone.spec)
    assert ran.code == 2
    assert "needs a key: set PINECONE_API_KEY" in ran.err
    assert not (aip.folder / "n.db").exists()


def test_a_comparison_left_early_closes_what_it_opened(
    pinecone: PineconeServer,
) -> None:
    pinecone.rows.clear()
    faults = verify(mirror=pinecone.spec)
    assert isinstance(next(faults), Fault)
    faults.close()  # type: ignore[attr-defined]  # a generator
    assert len(list(verify(mirror=pinecone.spec))) == 40


async def test_where_an_event_loop_runs_it_is_called_on_a_thread(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("A text.")
    shelf = Shelf()
    await asyncio.to_thread(ingest_sync, "a.txt", mirror=shelf)
    assert await asyncio.to_thread(lambda: list(verify(mirror=shelf))) == []
    shelf.rows.clear()
    (fault,) = await asyncio.to_thread(lambda: list(verify(mirror=shelf, repair=True)))
    assert (fault.check, held(shelf)) == ("mirror-missing", wanted())


class Sieve(Shelf):
    """Keep nothing: what memory is left is that of the other side."""

    async def upsert(self, rows: Any) -> None:
        self.calls["rows"] += len(rows)


def test_memory_is_the_same_whatever_the_size(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ledger, "PAGE_ROWS", 100)
    peaks = {}
    for size in (600, 2400):
        write(aip.folder / f"{size}.jsonl", *(f"text {n} " * 40 for n in range(size)))
        store = f"sqlite:///{size}.db"
        ingest_sync(f"{size}.jsonl", store=store)
        sieve: Mirror = Sieve()
        tracemalloc.start()
        try:
            with open_store(store) as record:
                faults = compared(record, sieve, repair=True, yes=False)
                count = sum(1 for _ in faults)
            peaks[size] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count == size
    assert peaks[2400] < peaks[600] + (200 << 10)
