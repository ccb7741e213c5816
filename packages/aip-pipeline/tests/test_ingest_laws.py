"""The laws of an ingestion, each against a real loopback server."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import openai_server
import pytest
from openai_server import OpenAIServer, vector
from stored import rows, texts, unpaired

from aip_pipeline import (
    ConfigError,
    EmbedderRefused,
    Ingestion,
    IngestReport,
    IngestSettings,
    SpaceMismatch,
    _reading,
    ingest,
    open_embedder,
    open_store,
    search,
)
from aip_pipeline._sources import open_source
from aip_pipeline.stores import DeadLetter, SqliteStore, Write
from aip_readers import Chunk, OpenError, reread


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


def write_jsonl(path: Path, count: int, *, first: int = 0) -> None:
    lines = (json.dumps({"text": f"text number {n}"}) for n in range(first, count))
    path.write_text("\n".join(lines) + "\n")


async def run(folder: Path, server: OpenAIServer, **more: Any) -> IngestReport:
    settings = {
        "store": f"sqlite:///{folder.parent}/s.db",
        "embedder": "openai:test",
        "base_url": server.base_url,
        "concurrency": 4,
        **more,
    }
    return await ingest([str(folder)], **settings)


async def test_every_chunk_is_stored_with_its_own_vector(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 300)
    (folder / "b.txt").write_text("plain words. " * 500)
    report = await run(folder, server)
    assert report.sources == 2
    assert report.read == report.stored == len(texts(folder.parent / "s.db"))
    assert unpaired(folder.parent / "s.db") == 0
    store = f"sqlite:///{folder.parent}/s.db"
    with open_store(store) as opened:
        for wanted in ("text number 0", "text number 299"):
            near = opened.by_vector(vector(wanted, 16).tobytes(), k=1)
            (hit,) = opened.hits(near)
            assert hit.text == wanted
            assert hit.score == pytest.approx(1.0, abs=1e-5)


async def test_batches_cross_documents(folder: Path, server: OpenAIServer) -> None:
    for n in range(200):
        (folder / f"{n}.txt").write_text(f"document {n}")
    report = await run(folder, server, batch_size=64)
    assert (report.stored, report.requests) == (200, 4)


async def test_nothing_is_lost_or_stored_twice_through_faults(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", 2000)
    async with OpenAIServer(fault_rate=0.1, seed=5) as server:
        report = await run(folder, server, batch_size=16)
        assert server.statuses[500] + server.statuses[429] > 0
    assert report.retries > 0
    found = texts(folder.parent / "s.db")
    assert sorted(found) == sorted(f"text number {n}" for n in range(2000))
    assert unpaired(folder.parent / "s.db") == 0


async def test_an_unchanged_rerun_makes_no_request(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 100)
    await run(folder, server)
    before = server.requests
    report = await run(folder, server)
    assert server.requests == before
    assert (report.read, report.unchanged, report.stored) == (100, 100, 0)
    assert report.embedded == 0


async def test_a_touched_file_is_read_again_but_not_paid_for(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 100)
    await run(folder, server)
    os.utime(folder / "a.jsonl", (1, 1))
    before = server.requests
    report = await run(folder, server)
    assert server.requests == before
    assert (report.stored, report.reused, report.embedded) == (100, 100, 0)
    assert len(texts(folder.parent / "s.db")) == 100


async def test_a_rename_makes_no_request(folder: Path, server: OpenAIServer) -> None:
    write_jsonl(folder / "a.jsonl", 100)
    await run(folder, server)
    before = server.requests
    (folder / "a.jsonl").rename(folder / "b.jsonl")
    report = await run(folder, server)
    assert server.requests == before
    assert (report.stored, report.embedded) == (100, 0)


async def test_an_edit_pays_for_the_changed_chunks_only(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 100)
    await run(folder, server)
    lines = (folder / "a.jsonl").read_text().splitlines()
    lines[50] = json.dumps({"text": "a new text"})
    (folder / "a.jsonl").write_text("\n".join(lines))
    report = await run(folder, server)
    assert (report.embedded, report.reused, report.stored) == (1, 99, 100)
    found = texts(folder.parent / "s.db")
    assert len(found) == 100
    assert "a new text" in found
    assert "text number 50" not in found


async def test_equal_text_is_paid_for_once(folder: Path, server: OpenAIServer) -> None:
    for name in "abc":
        (folder / f"{name}.jsonl").write_text('{"text": "the same"}\n' * 500)
    report = await run(folder, server)
    assert (report.stored, report.embedded) == (1500, 1)
    assert server.times_embedded("the same") == 1


async def test_a_small_budget_neither_deadlocks_nor_is_exceeded(
    folder: Path, server: OpenAIServer
) -> None:
    settings = {"max_memory_bytes": 1 << 20, "batch_size": 64}
    old = "\n".join(json.dumps({"text": f"{n:04} " * 150}) for n in range(1500))
    (folder / "a.jsonl").write_text(old)
    await run(folder, server, **settings)
    # One text that is new stands before pages of texts that are known.
    new = json.dumps({"text": "new"})
    (folder / "a.jsonl").write_text(f"{new}\n{old}\n{new}")
    report = await asyncio.wait_for(run(folder, server, **settings), 20)
    assert (report.embedded, report.stored) == (1, 1502)


async def test_poison_is_isolated_and_the_rest_goes_on(folder: Path) -> None:
    lines = [f"text number {n}" for n in range(100)]
    lines[33] = lines[77] = "this one is POISON"
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in lines))
    async with OpenAIServer(poison="POISON") as server:
        report = await run(folder, server)
        assert (report.stored, report.dead) == (98, 2)
        again = await run(folder, server)
        assert (again.unchanged, again.dead, again.requests) == (98, 2, 0)
    with open_store(f"sqlite:///{folder.parent}/s.db") as store:
        letters = list(store.dead_letters())
    raw = (folder / "a.jsonl").read_bytes()
    for letter, line in zip(letters, (34, 78), strict=True):
        assert letter.end is not None
        assert b"POISON" in raw[letter.start : letter.end]
        assert letter.line == line
        assert letter.text == "this one is POISON"
        assert letter.reason == "'input' holds what the model cannot take."


async def test_a_server_that_refuses_every_text_is_an_error(folder: Path) -> None:
    write_jsonl(folder / "a.jsonl", 1000)
    async with OpenAIServer(poison="text") as server:
        with pytest.raises(EmbedderRefused):
            await run(folder, server)
        assert server.requests < 300


async def test_a_bad_line_is_told_and_the_rest_goes_on(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "a.jsonl").write_bytes(
        b'{"text": "one"}\n{"text": oops}\n{"text": "two"}\n{"text": "\xff"}\n'
    )
    told: list[DeadLetter] = []
    ingestion = Ingestion(
        [str(folder)],
        settings=IngestSettings(
            store=f"sqlite:///{folder.parent}/s.db",
            embedder="openai:test",
            base_url=server.base_url,
        ),
        on_dead=told.append,
    )
    report = await ingestion.run()
    assert (report.read, report.stored, report.dead) == (4, 2, 2)
    assert [letter.line for letter in told] == [2, 4]
    assert 16 <= told[0].start < 31


async def test_good_bytes_before_damage_are_stored(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "latin.txt").write_bytes(b"good words first, then caf\xe9")
    report = await run(folder, server)
    assert (report.stored, report.dead) == (1, 1)
    with open_store(f"sqlite:///{folder.parent}/s.db") as store:
        (letter,) = store.dead_letters()
    assert letter.start == 26
    assert "utf-8" in letter.reason.lower()


async def test_a_file_that_cannot_be_opened_keeps_its_old_version(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "a.txt").write_text("listed before")
    (folder / "b.txt").write_text("the old version answers")
    await run(folder, server)
    (folder / "a.txt").write_text("listed before, and new")

    def vanish(chunk: Chunk) -> bool:
        (folder / "b.txt").unlink(missing_ok=True)
        (folder / "b.txt").mkdir(exist_ok=True)
        return bool(chunk.text)

    os.utime(folder / "b.txt", (1, 1))
    report = await run(folder, server, keep=vanish)
    assert (report.read, report.stored, report.dead) == (2, 1, 1)
    assert texts(folder.parent / "s.db")[1] == "the old version answers"
    for _ in range(2):
        report = await run(folder, server)
        assert (report.read, report.dead) == (1, 0), "a folder is no source to read"


async def test_a_file_that_stays_unreadable_is_dead_once(
    folder: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.txt").write_text("readable")
    (folder / "b.txt").write_text("not readable")

    def refuse(source: Any, *args: Any, **more: Any) -> Any:
        if str(source).endswith("b.txt"):
            raise OpenError(source, None, None, "permission denied")
        return open_source(source, *args, **more)

    monkeypatch.setattr(_reading, "open_source", refuse)
    for _ in range(3):
        report = await run(folder, server)
        assert (report.read, report.dead) == (2, 1)
        with open_store(f"sqlite:///{folder.parent}/s.db") as store:
            assert [one.reason for one in store.dead_letters()] == ["permission denied"]
    monkeypatch.undo()
    report = await run(folder, server)
    assert (report.read, report.dead) == (2, 0)


async def test_interrupted_runs_resume_to_the_same_store(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 2000)
    (folder / "b.txt").write_text("".join(f"sentence {n}. " for n in range(20_000)))
    server.delay_s = 0.01
    settings = IngestSettings(
        store=f"sqlite:///{folder.parent}/s.db",
        embedder="openai:test",
        base_url=server.base_url,
        concurrency=2,
        max_memory_bytes=1 << 20,
    )
    runs = 0
    while True:
        runs += 1
        ingestion = Ingestion([str(folder)], settings=settings)
        stopper = asyncio.get_running_loop().call_later(0.06, ingestion.drain)
        report = await ingestion.run()
        stopper.cancel()
        if not ingestion.interrupted:
            break
        assert runs < 100
    assert runs > 2
    calm = folder.parent / "calm.db"
    await run(folder, server, store=f"sqlite:///{calm}")
    assert rows(folder.parent / "s.db") == rows(calm)
    paid = [server.times_embedded(text) for text in set(texts(calm))]
    assert set(paid) == {2}, "once in each of the two stores"
    assert report.read == len(texts(calm))


async def test_unwanted_chunks_are_filtered_not_lost(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 100)

    def keep(chunk: Chunk) -> bool:
        return not chunk.text.endswith("7")

    report = await run(folder, server, keep=keep)
    assert (report.read, report.stored, report.filtered) == (100, 90, 10)
    again = await run(folder, server, keep=keep)
    assert (again.read, again.unchanged, again.filtered) == (100, 90, 10)


async def test_spaces_never_mix(folder: Path, server: OpenAIServer) -> None:
    write_jsonl(folder / "a.jsonl", 3)
    await run(folder, server)
    with pytest.raises(SpaceMismatch, match="use that embedder, or a new store"):
        await run(folder, server, embedder="openai:other")
    assert len(texts(folder.parent / "s.db")) == 3


async def test_hybrid_search_finds_by_words_and_by_vector(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 50)
    await run(folder, server)
    store = f"sqlite:///{folder.parent}/s.db"
    for mode in ("hybrid", "vector", "lexical"):
        found = await search("text number 17", store=store, k=3, mode=mode)
        assert len(found) == 3
        assert found[0].text == "text number 17"
        raw = reread(found[0].source, found[0].start, found[0].end)
        assert json.loads(raw)["text"] == "text number 17"


async def test_search_refuses_an_embedder_of_another_length(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 5)
    await run(folder, server)
    server.dimensions += 1
    store = f"sqlite:///{folder.parent}/s.db"
    with pytest.raises(SpaceMismatch, match="no longer the one that made this store"):
        await search("text", store=store, mode="vector")
    with pytest.raises(ValueError, match=r"mode must be one of .* not 'words'"):
        await search("text", store=store, mode="words")  # type: ignore[arg-type]  # a mistake


async def test_search_refuses_an_embedder_of_another_space(
    folder: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(folder / "a.jsonl", 5)
    await run(folder, server)
    store, before = f"sqlite:///{folder.parent}/s.db", server.requests
    for spec in ("local", "openai:other", "openai:test?dimensions=8"):
        url = None if spec == "local" else server.base_url
        other = open_embedder(spec, base_url=url)
        with pytest.raises(SpaceMismatch, match="use that embedder, or a new store"):
            await search("text", store=store, embedder=other)
    assert server.requests == before, "the names alone say so"
    assert len(await search("text", store=store)) == 5
    assert server.requests == before + 1, "the canaries ride along"
    genuine = openai_server.vector
    monkeypatch.setattr(openai_server, "vector", lambda t, d: genuine(t + "!", d))
    with pytest.raises(SpaceMismatch, match="no longer the one that made this store"):
        await search("text", store=store, mode="vector")
    assert len(await search("text", store=store, mode="lexical")) == 5


async def test_search_does_without_canaries_where_they_cannot_be_had(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 5)
    await run(folder, server)
    store = f"sqlite:///{folder.parent}/s.db"
    server.max_texts = 1
    assert len(await search("text", store=store, mode="vector")) == 5
    server.max_texts = 2048
    with SqliteStore(folder.parent / "s.db") as held:
        held.commit(Write(canaries="[]"))
    assert len(await search("text", store=store, mode="vector")) == 5
    assert server.bodies[-1]["input"] == ["text"]
    server.dimensions += 1
    with pytest.raises(SpaceMismatch, match="no longer the one that made this store"):
        await search("text", store=store, mode="vector")


async def test_a_source_that_is_not_there_is_refused_first(
    folder: Path, server: OpenAIServer
) -> None:
    write_jsonl(folder / "a.jsonl", 3)
    with pytest.raises(ConfigError, match=r"no such file or folder at .*gone"):
        await ingest(
            [str(folder), str(folder / "gone")],
            store=f"sqlite:///{folder.parent}/s.db",
            embedder="openai:test",
            base_url=server.base_url,
        )
    assert server.requests == 0
