"""Corners where chunks were once lost, doubled or stuck; each seen before mended."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from stored import rows, texts

from aip_pipeline import (
    ConfigError,
    Ingestion,
    IngestSettings,
    RecordSource,
    ingest_sync,
    search,
)
from aip_pipeline._reading import MAX_PAGE_CHUNKS, PageReader
from aip_pipeline._spending import TokenBudget
from aip_pipeline.stores import DeadLetter, SqliteStore
from aip_readers import Record, open_records


def settings(tmp_path: Path, server: OpenAIServer, **more: Any) -> IngestSettings:
    fields = {
        "store": f"sqlite:///{tmp_path}/s.db",
        "embedder": "openai:test",
        "base_url": server.base_url,
        "concurrency": 2,
        **more,
    }
    return IngestSettings(**fields)


def sentences(count: int) -> str:
    return "".join(f"sentence {n}. " for n in range(count))


async def test_records_of_a_file_are_not_resumed_by_its_offsets(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text(sentences(20_000))

    def source() -> RecordSource:
        return RecordSource(
            uri="db://a",
            records=lambda: open_records(tmp_path / "a.txt"),
            fingerprint="v1",
        )

    stopped = 0
    while True:
        used = settings(tmp_path, server, max_tokens=40_000, batch_size=16)
        run = Ingestion([source()], settings=used)
        await run.run()
        if not run.exhausted:
            break
        stopped += 1
        assert stopped < 50
    assert stopped > 0
    calm = settings(tmp_path, server, store=f"sqlite:///{tmp_path}/calm.db")
    await Ingestion([source()], settings=calm).run()
    assert rows(tmp_path / "s.db") == rows(tmp_path / "calm.db")


async def test_what_waited_for_the_first_answer_is_not_sent_after_a_drain(
    tmp_path: Path,
) -> None:
    lines = (json.dumps({"text": f"text {n}"}) for n in range(640))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    async with OpenAIServer(delay_s=0.3) as slow:
        used = settings(tmp_path, slow, concurrency=16, batch_size=16)
        run = Ingestion([str(tmp_path / "a.jsonl")], settings=used)
        going = asyncio.create_task(run.run())
        while not slow.bodies or run.held_bytes < 300_000:  # noqa: ASYNC110  # and the others wait
            await asyncio.sleep(0.01)
        run.drain()
        await asyncio.wait_for(going, 20)
        assert len(slow.bodies) == 1
    assert run.interrupted


async def test_a_file_named_twice_around_a_stream_is_read_once(
    tmp_path: Path, server: OpenAIServer
) -> None:
    path = str(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("once")
    mine = RecordSource(uri="db://x", records=_records("x"))
    run = Ingestion([path, mine, path], settings=settings(tmp_path, server))
    report = await run.run()
    assert (report.sources, report.stored) == (2, 2)


async def test_two_streams_of_one_name_are_refused(
    tmp_path: Path, server: OpenAIServer
) -> None:
    twice = [RecordSource(uri="db://x", records=_records(one)) for one in "xy"]
    with pytest.raises(ConfigError, match="db://x is named twice"):
        await Ingestion(twice, settings=settings(tmp_path, server)).run()


def test_rows_added_and_deleted_in_one_transaction_leave_the_index_whole(
    tmp_path: Path,
) -> None:
    from test_store_sqlite import part  # noqa: PLC0415  # its shorthand

    from aip_pipeline.stores import Write  # noqa: PLC0415

    with SqliteStore(tmp_path / "s.db") as store:
        store.claim(spec="local", base_url=None, fulltext=None)
        with store.transaction() as add:
            add(Write(parts=[part(["old words"], restart=True, last=True)]))
            new = part(["new words"], restart=True, last=True, fingerprint="v2")
            add(Write(parts=[new]))
        found = store.hits(store.by_words("words", k=5))
        assert [hit.text for hit in found] == ["new words"]
        assert list(store.verify(repair=False))[:0] == []
    rows(tmp_path / "s.db")  # checks the full text against the chunks


async def test_a_file_that_vanishes_while_it_is_read_is_pruned_after_its_pages(
    tmp_path: Path, server: OpenAIServer
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(9):
        (folder / f"{n}.txt").write_text(f"document {n}")
    path = folder / "z.txt"
    path.write_text(sentences(20_000))
    await Ingestion([str(folder)], settings=settings(tmp_path, server)).run()
    path.write_text(sentences(20_001))

    def vanish(_: object) -> bool:
        path.unlink(missing_ok=True)
        return True

    server.delay_s = 0.05
    used = settings(tmp_path, server, prune=True)
    run = Ingestion([str(folder)], settings=used, keep=vanish)
    report = await run.run()
    assert report.deleted > 0
    assert texts(tmp_path / "s.db") == [f"document {n}" for n in range(9)]


async def test_a_run_that_is_cancelled_twice_still_ends(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text(sentences(60_000))
    server.delay_s = 0.2
    used = settings(tmp_path, server, max_memory_bytes=1 << 20)
    run = asyncio.create_task(Ingestion([str(tmp_path / "a.txt")], settings=used).run())
    await asyncio.sleep(0.05)
    run.cancel()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(run, 20)


async def test_a_name_that_is_not_utf8_is_told_and_the_rest_goes_on(
    tmp_path: Path, server: OpenAIServer
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("before")
    (folder / "z.txt").write_text("after")
    with open(os.path.join(os.fsencode(folder), b"m\xff.txt"), "wb") as odd:  # noqa: ASYNC230, PTH118, PTH123  # bytes
        odd.write(b"between")
    told: list[DeadLetter] = []
    used = settings(tmp_path, server)
    run = Ingestion([str(folder)], settings=used, on_dead=told.append)
    report = await run.run()
    assert (report.stored, report.dead) == (2, 1)
    assert told[0].source.endswith("m\\xff.txt")
    assert told[0].reason == "its name is not UTF-8"


async def test_a_server_that_tells_no_usage_is_taken_to_have_used_all() -> None:
    budget = TokenBudget(100)
    for _ in range(2):
        reserved = await budget.reserve(50, spent_tokens=int)
        assert reserved is not None
        budget.settle(reserved, n_bytes=50)
    assert await budget.reserve(1, spent_tokens=int) is None


async def test_a_request_that_might_be_too_much_waits_for_what_is_in_flight() -> None:
    budget, spent = TokenBudget(100), [0]

    async def reserve(n_bytes: int) -> float | None:
        return await budget.reserve(n_bytes, spent_tokens=lambda: spent[0])

    first = await reserve(60)
    assert first == 60
    second, third = (asyncio.create_task(reserve(n)) for n in (60, 600))
    await asyncio.sleep(0)
    assert not second.done()
    spent[0] = 15
    budget.settle(first, n_bytes=60)
    assert await second == pytest.approx(1.2 * 15)
    await asyncio.sleep(0)
    assert not third.done()
    spent[0] = 30
    budget.settle(18, n_bytes=60)
    assert await third is None


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
async def test_small_batches_have_room_for_the_canaries(
    tmp_path: Path, batch_size: int
) -> None:
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"text": f"text {n}"}) for n in range(10))
    )
    async with OpenAIServer(max_texts=batch_size) as server:
        used = settings(tmp_path, server, batch_size=batch_size)
        report = await Ingestion([str(tmp_path / "a.jsonl")], settings=used).run()
        assert (report.stored, server.statuses[413]) == (10, 0)


async def test_an_error_of_on_dead_is_raised_after_all_is_stored(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{oops\n{"text": "two"}\n')

    def fail(letter: DeadLetter) -> None:
        raise LookupError(letter.reason)

    used = settings(tmp_path, server)
    run = Ingestion([str(tmp_path / "a.jsonl")], settings=used, on_dead=fail)
    with pytest.raises(LookupError, match="not JSON"):
        await run.run()
    assert texts(tmp_path / "s.db") == ["one", "two"]


async def test_a_chunk_replaced_after_it_was_ranked_is_left_out(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text("some words")
    await Ingestion(
        [str(tmp_path / "a.txt")], settings=settings(tmp_path, server)
    ).run()
    with SqliteStore(tmp_path / "s.db") as store:
        many = {**dict.fromkeys(range(2, 2000), 0.5), 1: 0.9}
        assert [hit.text for hit in store.hits(many.items())] == ["some words"]
    found = await search("words", store=f"sqlite:///{tmp_path}/s.db")
    assert len(found) == 1


async def test_another_embedder_tries_what_the_last_one_refused(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("POISON")
    async with OpenAIServer(poison="POISON") as strict:
        used = settings(tmp_path, strict)
        report = await Ingestion([str(tmp_path / "a.txt")], settings=used).run()
        assert report.dead == 1
    async with OpenAIServer() as server:
        used = settings(tmp_path, server, embedder="openai:other")
        report = await Ingestion([str(tmp_path / "a.txt")], settings=used).run()
        assert (report.stored, report.dead) == (1, 0)


@pytest.mark.parametrize(
    ("body", "at_most"),
    [
        ('{"text": "t", "more": "' + "x" * 100_000 + '"}', 12),
        ('{"text": ""}', MAX_PAGE_CHUNKS + 1),
    ],
)
def test_a_page_is_bounded_also_by_metadata_and_by_empty_files(
    tmp_path: Path, body: str, at_most: int
) -> None:
    import threading  # noqa: PLC0415

    for n in range(400):
        (tmp_path / f"{n:03}.jsonl").write_text(body + "\n")
    with SqliteStore(tmp_path / "s.db") as store:
        reader = PageReader(
            IngestSettings(),
            store=store,
            spec="local",
            claimed=set(),
            stop=threading.Event(),
            keep=None,
            max_page_bytes=1 << 20,
            vector_bytes=int,
        )
        sizes = [len(page.parts) for page in reader.pages([str(tmp_path)])]
    assert sum(sizes) >= 400, "a source may stand in two pages"
    assert max(sizes) <= at_most


def _records(*names: str) -> Iterator[Record]:
    for n, name in enumerate(names):
        yield Record("db://x", f"row {name}", n, n + 1, n + 1, name, {})


async def test_ingest_sync_in_a_loop_says_what_to_call(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"call `await ingest\(\.\.\.\)` instead"):
        ingest_sync(str(tmp_path), store=f"sqlite:///{tmp_path}/s.db")
