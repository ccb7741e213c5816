"""`plan` says what `ingest` then does, and sends nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import Aip
from openai_server import OpenAIServer

from aip_pipeline import Ingestion, IngestSettings, SpaceMismatch, ingest
from aip_pipeline._plan import plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    for n in range(10):
        (made / f"{n}.txt").write_text(f"document {n}")
    lines = [json.dumps({"text": f"line {n % 150}"}) for n in range(200)]
    (made / "lines.jsonl").write_text("\n".join(lines))
    return made


def options(folder: Path, server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {
        "store": f"sqlite:///{folder.parent}/s.db",
        "embedder": "openai:test",
        "base_url": server.base_url,
        **more,
    }


async def test_a_plan_is_what_ingest_then_does(
    folder: Path, server: OpenAIServer
) -> None:
    used = options(folder, server)
    before = plan([str(folder)], settings=IngestSettings(**used))
    assert server.requests == 0
    assert not (folder.parent / "s.db").exists()
    report = await ingest(str(folder), **used)
    assert (before.new, before.changed, before.unchanged) == (11, 0, 0)
    assert before.chunks == report.read == 210
    assert before.to_embed == report.embedded == 160
    assert before.requests == report.requests == 3

    (folder / "0.txt").write_text("another text")
    (folder / "1.txt").unlink()
    after = plan([str(folder)], settings=IngestSettings(**used))
    found = (after.new, after.changed, after.unchanged, after.vanished)
    assert found == (0, 1, 9, 1)
    assert (after.to_embed, after.requests, after.chunks) == (1, 1, 209)


async def test_a_plan_tells_of_dead_letters_that_stay(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "bad.txt").write_bytes(b"good \xff bad")
    used = options(folder, server)
    report = await ingest(str(folder), **used)
    after = plan([str(folder)], settings=IngestSettings(**used))
    assert (after.unchanged, after.unreadable, after.dead) == (12, 0, report.dead)
    assert after.as_dict()["dead"] == report.dead == 1


async def test_seconds_and_cost_follow_from_limits_and_price(
    folder: Path, server: OpenAIServer
) -> None:
    used = options(folder, server, rpm=6, tpm=60, price=2.0)
    found = plan([str(folder)], settings=IngestSettings(**used))
    assert found.seconds == max(found.requests * 10, found.tokens)
    assert found.cost == pytest.approx(found.tokens * 2e-6)
    bare = plan([str(folder)], settings=IngestSettings(**options(folder, server)))
    assert (bare.seconds, bare.cost) == (None, None)


async def test_equal_texts_of_far_apart_pages_are_counted_once(
    tmp_path: Path, server: OpenAIServer
) -> None:
    lines = [json.dumps({"text": f"line {n % 7}"}) for n in range(3000)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    used = IngestSettings(**options(tmp_path / "x", server))
    found = plan([str(tmp_path / "a.jsonl")], settings=used)
    assert (found.chunks, found.to_embed) == (3000, 7)


async def test_what_cannot_be_read_is_counted(
    folder: Path, server: OpenAIServer
) -> None:
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    used = IngestSettings(**options(folder, server))
    assert plan([str(folder)], settings=used).unreadable == 1


async def test_a_plan_for_another_space_is_refused(
    folder: Path, server: OpenAIServer
) -> None:
    await ingest(str(folder), **options(folder, server))
    other = IngestSettings(**options(folder, server, embedder="openai:other"))
    with pytest.raises(SpaceMismatch):
        plan([str(folder)], settings=other)


async def test_the_canaries_are_part_of_the_plan(
    tmp_path: Path, server: OpenAIServer
) -> None:
    lines = [
        json.dumps({"text": f"A line of some words, number {n}."}) for n in range(8)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    used = options(tmp_path / "x", server, batch_size=8)
    found = plan([str(tmp_path / "a.jsonl")], settings=IngestSettings(**used))
    report = await ingest(str(tmp_path / "a.jsonl"), **used)
    assert (found.to_embed, found.requests) == (8, report.requests) == (8, 2)
    # The server counts a token for four characters.
    assert 0.8 < found.tokens / report.tokens < 1.4


async def test_a_plan_for_the_local_embedder_has_no_request_and_its_tokens(
    folder: Path,
) -> None:
    store = f"sqlite:///{folder.parent}/local.db"
    (folder / "log.txt").write_text("2026-03-11T08:41:07.531Z 10.0.41.7 9f3c1a\n" * 50)
    found = plan([str(folder)], settings=IngestSettings(store=store))
    report = await ingest(str(folder), store=store)
    assert found.requests == report.requests == 0
    assert 0.8 < found.tokens / report.tokens < 1.25


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7])
async def test_the_requests_of_a_plan_are_those_of_the_run(
    folder: Path, server: OpenAIServer, batch_size: int
) -> None:
    used = IngestSettings(**options(folder, server), batch_size=batch_size)
    planned = plan([str(folder)], settings=used).requests
    assert server.requests == 0
    await Ingestion([str(folder)], settings=used).run()
    assert server.requests == planned


async def test_what_a_folder_passes_over_is_counted(
    folder: Path, server: OpenAIServer
) -> None:
    for name in ("a.png", "b.png", "LICENCE"):
        (folder / name).write_bytes(b"\0")
    used = IngestSettings(**options(folder, server))
    found = plan([str(folder)], settings=used)
    assert found.passed_over == {".png": 2, "no suffix": 1}
    assert found.as_dict()["passed_over"] == {".png": 2, "no suffix": 1}


@pytest.mark.parametrize("embedder", ["local", "openai:test"])
async def test_the_verdict_on_a_budget_is_what_the_run_then_does(
    folder: Path, server: OpenAIServer, embedder: str
) -> None:
    url = None if embedder == "local" else server.base_url
    used = options(folder, server, embedder=embedder, base_url=url)

    def verdict(max_tokens: int | None) -> str | None:
        settings = IngestSettings(**used, max_tokens=max_tokens)
        return plan([str(folder)], settings=settings).budget

    tokens = plan([str(folder)], settings=IngestSettings(**used)).tokens
    assert verdict(None) is None
    assert verdict(tokens) == "unsure"
    assert verdict(tokens // 2) == "too small"
    assert verdict(100 * tokens) == "enough"
    small = Ingestion(
        [str(folder)], settings=IngestSettings(**used, max_tokens=tokens // 2)
    )
    await small.run()
    assert small.exhausted
    large = Ingestion(
        [str(folder)], settings=IngestSettings(**used, max_tokens=100 * tokens)
    )
    await large.run()
    assert not large.exhausted
    done = plan([str(folder)], settings=IngestSettings(**used, max_tokens=1))
    assert (done.to_embed, done.tokens, done.budget) == (0, 0, "enough")


async def test_a_path_that_is_gone_and_is_to_be_pruned_is_counted(
    folder: Path, server: OpenAIServer
) -> None:
    (folder.parent / "other.txt").write_text("something else")
    sources = [str(folder), str(folder.parent / "other.txt")]
    await ingest(sources, **options(folder, server))
    shutil.rmtree(folder)
    used = IngestSettings(**options(folder, server), prune=True, yes=True)
    assert plan(sources, settings=used).vanished == 11


def test_plan_ingest_and_status_count_the_same_sources(aip: Aip) -> None:
    made = aip.folder / "in"
    made.mkdir()
    (made / "a.txt").write_text("tea")
    (made / "same.txt").write_text("tea")
    (made / "empty.txt").touch()
    (made / "lines.jsonl").write_text('{"text": "cake"}\n{oops}\n')
    (made / "gone.pdf").write_text("needs what is not there")
    (made / "wrong.txt.gz").write_text("not compressed")
    (made / "x.png").touch()
    os.close(os.open(os.fsencode(made) + b"/m\xff.txt", os.O_CREAT))
    given = ("in", "in/a.txt", "in")
    first = aip("plan", *given)
    done = aip("ingest", *given)
    read = re.fullmatch(
        r"Done: (\d) sources of this run, with (\d) chunks in .*", done.lines[0]
    )
    assert read is not None
    sources, chunks = read.groups()
    assert f"Sources: {sources} new, 0 changed, 0 unchanged" in first.out
    assert f"  {chunks} chunks, " in first.out
    assert f"  {sources} sources (0 unfinished), {chunks} chunks, " in aip("status").out
    again = aip("plan", *given)
    assert f"Sources: 0 new, 0 changed, {sources} unchanged" in again.out
    assert "nothing needs to be: all is stored but 1 dead letter and " in again.out
    told = re.search(r"  (\d) chunks?, (\d) unreadable places?, (\d) dead", again.out)
    assert told is not None
    assert told[1] == chunks
    assert int(told[2]) + int(told[3]) == len(aip("dead", "list").lines)
    for ran in (first, done, again):
        assert "passed over 1 file whose suffix" in ran.out
