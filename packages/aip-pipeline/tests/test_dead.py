"""Dead letters: shown, and tried again against a server that has changed its mind."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from command import Aip
from openai_server import OpenAIServer
from served import Served
from stored import texts

from aip_pipeline import (
    ConfigError,
    EmbedderUnavailable,
    Ingestion,
    IngestSettings,
    RecordSource,
    export,
    ingest,
    open_embedder,
    open_store,
    retry_dead,
    verify,
)
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.stores import DeadLetter

LINES = [f"text number {n}" for n in range(100)]
LINES[33] = LINES[77] = "this one is POISON"
LINES[50] = "and POISON here"


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(poison="POISON") as started:
        yield started


def write(path: Path, *, times: int = 1) -> Path:
    lines = [json.dumps({"text": text, "n": n}) for n, text in enumerate(LINES)]
    path.write_text(("\n".join([*lines, "{oops}"]) + "\n") * times)
    return path


@pytest.fixture
def notes(aip: Aip) -> Path:
    return write(aip.folder / "a.jsonl")


async def ingested(notes: Path, server: OpenAIServer, **more: object) -> None:
    settings = {"embedder": "openai:test", "base_url": server.base_url, **more}
    report = await ingest(str(notes), **settings)  # type: ignore[arg-type]  # a test's shorthand
    assert report.read == 101


def letters() -> list[DeadLetter]:
    with open_store("sqlite:///aip.db") as store:
        return list(store.dead_letters())


async def test_what_is_accepted_now_is_stored_as_if_it_always_was(
    notes: Path, server: OpenAIServer
) -> None:
    await ingested(notes, server)
    assert len(letters()) == 4
    server.poison = "and POISON"
    server.bodies.clear()
    left: list[DeadLetter] = []
    report = await retry_dead(on_left=left.append)
    assert (report.retried, report.stored, report.refused) == (4, 2, 1)
    assert (report.to_read_again, report.embedded) == (1, 1)
    # In the order they were stored: by page, and there what was damaged first.
    assert [letter.text for letter in left] == ["and POISON here", None]
    asked = {text for body in server.bodies for text in body["input"]}
    assert asked <= {"this one is POISON", "and POISON here", "a", *CANARY_TEXTS}
    assert texts(Path("aip.db")) == [t for t in LINES if "and" not in t]
    again = letters()
    assert {letter.text: letter.attempts > 1 for letter in again} == {
        None: False,
        "and POISON here": True,
    }
    revived = [chunk for chunk in export() if "POISON" in chunk.text]
    assert [chunk.line for chunk in revived] == [34, 78]
    with notes.open("rb") as raw:
        raw.seek(revived[0].start)
        line = json.loads(raw.readline())
    assert line == {"text": "this one is POISON", "n": 33}
    assert revived[0].within == (0, 18)
    assert list(verify()) == []


async def test_a_retry_is_not_paid_for_twice(notes: Path, server: OpenAIServer) -> None:
    await ingested(notes, server)
    server.poison = None
    await retry_dead()
    before = server.requests
    report = await retry_dead()
    assert (report.retried, report.to_read_again) == (1, 1)
    assert server.requests == before
    assert server.times_embedded("this one is POISON") == 1


def test_a_retry_names_no_more_than_an_ingest(aip: Aip) -> None:
    (aip.folder / "one.jsonl").write_text("{oops}\n" * 9)
    many = aip.folder / "many"
    many.mkdir()
    for n in range(205):
        (many / f"{n:03}.txt").write_bytes(b"\xff")
    assert aip("ingest", "one.jsonl").code == 3
    lines = aip("dead", "retry").err.splitlines()
    assert len(lines) == 4
    assert "could not be read; mend it, then ingest it again: ... and more" in lines[3]
    aip("ingest", "many")
    retried = aip("dead", "retry")
    assert len(retried.err.splitlines()) == 201
    assert retried.err.endswith(": ... and more: see `aip dead list`\n")
    assert retried.out.startswith("Retried 214 = ")


async def test_what_could_not_be_read_is_read_again(
    notes: Path, server: OpenAIServer
) -> None:
    await ingested(notes, server)
    server.poison = None
    await retry_dead()
    before = server.requests
    await ingested(notes, server)
    assert server.requests == before, "all texts of it are known"
    (letter,) = letters()
    assert letter.text is None
    assert sorted(texts(Path("aip.db"))) == sorted(LINES)


def test_a_name_that_is_not_utf8_is_one_dead_letter_until_the_file_is_renamed(
    aip: Aip,
) -> None:
    folder = aip.folder / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("the good one")
    odd = os.fsencode(folder) + b"/m\xff.txt"
    os.close(os.open(odd, os.O_CREAT | os.O_WRONLY))
    for _ in range(2):
        done = aip("ingest", "in")
        assert done.code == 3
        assert "= stored" in done.out
        assert f"aip: dead: {folder}/m\\xff.txt at byte 0: its name is" in done.err
        assert "vanished" not in done.out
        (line,) = aip("dead", "list").lines
        assert line.endswith(f": {folder}/m\\xff.txt at byte 0: its name is not UTF-8")
        assert "1 dead" in aip("status").out
    tried = aip("dead", "retry", "--json")
    assert tried.code == 3
    assert json.loads(tried.out)["to_read_again"] == 1
    assert list(verify()) == []
    os.rename(odd, folder / "m.txt")  # noqa: PTH104  # bytes
    (folder / "m.txt").write_text("and the other")
    done = aip("ingest", "in", "--prune", "--yes")
    assert (done.code, aip("dead", "list").out) == (0, "")
    assert "stored 1 + unchanged 1" in done.out


async def test_an_escaped_name_takes_nothing_from_the_file_that_bears_it(
    aip: Aip, server: OpenAIServer
) -> None:
    folder = aip.folder / "in"
    folder.mkdir()
    (folder / "m\\xff.txt").write_text("its own text")
    with open(os.fsencode(folder) + b"/m\xff.txt", "wb") as odd:  # noqa: ASYNC230, PTH123  # bytes
        odd.write(b"another")
    for stored in (1, 0):
        used = {"embedder": "openai:test", "base_url": server.base_url}
        report = await ingest(str(folder), **used)  # type: ignore[arg-type]  # a test's shorthand
        assert (report.sources, report.stored, report.dead) == (1, stored, 1)
    assert texts(Path("aip.db")) == ["its own text"]


async def test_records_whose_name_is_not_unicode_are_a_dead_letter(
    aip: Aip, server: OpenAIServer
) -> None:
    odd = RecordSource(uri="db://\ud800", records=[])
    report = await ingest(odd, embedder="openai:test", base_url=server.base_url)
    assert (report.read, report.dead) == (1, 1)
    assert letters()[0].source == "db://\\ud800"
    assert aip("dead", "list").out.startswith("1: db://\\ud800 at byte 0")


def test_a_text_whose_vector_is_zero_is_dead_until_it_has_another(aip: Aip) -> None:
    (aip.folder / "a.jsonl").write_text('{"text": "tea"}\n{"text": "ZERO"}\n' * 3)
    with Served(OpenAIServer(zero="ZERO")) as server:
        used = ("--embedder", "openai:test", "--base-url", server.base_url)
        done = aip("ingest", "a.jsonl", *used)
        assert done.code == 3
        assert "read 6 = stored 3 + unchanged 0 + filtered 0 + dead 3" in done.out
        told = aip("dead", "list").lines
        assert len(told) == 3
        assert all("nothing but zeros in 1 of 1 vectors" in line for line in told)
        assert aip("dead", "retry").code == 3
        server.zero = None
        assert aip("dead", "retry").code == 0
    assert list(verify()) == []


async def test_a_letter_of_an_unfinished_version_is_stored_in_it(
    notes: Path, server: OpenAIServer
) -> None:
    write(notes, times=20)
    settings = IngestSettings(
        embedder="openai:test",
        base_url=server.base_url,
        concurrency=1,
        max_memory_bytes=1 << 20,
    )
    run = Ingestion([str(notes)], settings=settings, on_dead=lambda _: run.drain())
    await run.run()
    assert run.interrupted
    stored = run.report.stored
    server.poison = None
    report = await retry_dead()
    assert report.stored >= 3
    assert list(verify()) == []
    done = await ingest(
        str(notes), embedder="openai:test", base_url=server.base_url, concurrency=1
    )
    assert done.read == 101 * 20
    assert done.dead == 20
    assert stored < len(texts(Path("aip.db"))) == done.stored + done.unchanged
    assert list(verify()) == []


async def test_only_the_named_letters_are_tried(
    notes: Path, server: OpenAIServer
) -> None:
    await ingested(notes, server)
    server.poison = None
    (first, *_) = [letter.id for letter in letters() if letter.text == LINES[50]]
    assert first is not None
    report = await retry_dead([first, first])
    assert (report.retried, report.stored) == (1, 1)
    assert len(letters()) == 3
    with pytest.raises(ConfigError, match="no dead letter 4711"):
        await retry_dead([4711])


async def test_an_embedder_of_ones_own_is_used_for_a_retry(
    notes: Path, server: OpenAIServer
) -> None:
    await ingested(notes, server)
    server.poison = None
    mine = open_embedder("openai:test", base_url=server.base_url)
    report = await retry_dead(embedder=mine)
    assert (report.stored, mine.usage.requests) == (3, report.requests)


async def test_a_store_of_nothing_but_dead_letters_can_be_tried(
    aip: Aip, server: OpenAIServer
) -> None:
    (aip.folder / "a.txt").write_text("POISON alone")
    with suppress(EmbedderUnavailable):
        await ingest("a.txt", embedder="openai:test", base_url=server.base_url)
    server.poison = None
    assert (await retry_dead()).stored == 1


def test_show_tells_all_and_list_names_the_ids(aip: Aip) -> None:
    (aip.folder / "a.txt").write_bytes(b"good words, then caf\xe9")
    assert aip("ingest", "a.txt").code == 3
    (line,) = aip("dead", "list").lines
    assert line.startswith(f"1: {aip.folder / 'a.txt'} at byte 20 (line 1): ")
    shown = aip("dead", "show", "1")
    assert shown.code == 0
    assert "bytes     20-?" in shown.out
    assert "text      could not be read" in shown.out
    as_json = json.loads(aip("dead", "show", "1", "--json").out)
    assert (as_json["id"], as_json["start"], as_json["text"]) == (1, 20, None)
    failed = aip("dead", "show", "2")
    assert failed.code == 2
    assert "no dead letter 2 in sqlite:///aip.db" in failed.err


def test_a_retry_says_what_to_do_with_what_could_not_be_read(aip: Aip) -> None:
    (aip.folder / "a.txt").write_bytes(b"\0\1")
    assert aip("ingest", "a.txt").code == 3
    ran = aip("dead", "retry")
    assert ran.code == 3
    (line,) = ran.err.splitlines()
    assert line.startswith("aip: not retried, for it could not be read; mend it, then")
    assert "a.txt at byte 0 (line 1): NUL is not text" in line
    assert "mend it, then run `aip ingest` on its source" in ran.lines[-1]


def test_retry_exits_by_what_is_left(aip: Aip) -> None:
    (aip.folder / "a.txt").write_bytes(b"good words, then caf\xe9")
    aip("ingest", "a.txt")
    ran = aip("dead", "retry")
    assert ran.code == 3
    assert "stored 0 + refused again 0 + to be read again 1" in ran.out
    assert "ingest it again" in ran.err
    (aip.folder / "a.txt").write_bytes("good words, then café".encode())
    assert aip("ingest", "a.txt").code == 0
    ran = aip("dead", "retry", "--json")
    assert (ran.code, json.loads(ran.out)["retried"]) == (0, 0)
    assert aip("dead", "retry", "1").code == 2
