"""`aip status` from another shell, while a run goes on."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime

import pytest
from command import Aip, aip_process
from openai_server import OpenAIServer

from aip_pipeline.stores._holder import holder_of, this_process


def is_running(process: asyncio.subprocess.Process) -> bool:
    return process.returncode is None


async def test_status_answers_and_moves_while_a_run_goes_on(aip: Aip) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(4000))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        small = ("--concurrency", "1", "--max-memory", "1M", "--batch-size", "32")
        began = datetime.now(UTC).replace(microsecond=0)
        run = await aip_process("ingest", "a.jsonl", *flags, *small)
        seen: list[int] = []
        pending = 0
        async with asyncio.timeout(30):
            while len(set(seen)) < 2:
                assert is_running(run), "the run ended before it was seen twice"
                status = await aip_process("status", "--json")
                out, err = await status.communicate()
                if status.returncode:
                    assert b"run `aip ingest` first" in err
                    continue
                found = json.loads(out)
                assert found["unfinished"] <= 1
                assert found["running"] or not is_running(run)
                assert found["chunks"] == 0
                if found["running"]:
                    assert found["pid"] == run.pid
                    assert datetime.fromisoformat(found["since"]) >= began
                pending = max(pending, found["pending"])
                seen.append(found["embeddings"])
        assert is_running(run)
        status = await aip_process("status")
        out, _ = await status.communicate()
        assert b"1 source (1 under way)" in out
        assert f"an ingest is running: process {run.pid}, since ".encode() in out
        run.terminate()
        await run.communicate()
    assert run.returncode == 130
    assert seen == sorted(seen)
    status = await aip_process("status")
    out, _ = await status.communicate()
    assert b"1 unfinished" in out
    assert b"an ingest was interrupted" in out
    assert b"more; they answer when these are complete" in out
    assert pending > 0


async def test_a_note_that_a_killed_run_left_is_not_believed() -> None:
    ended = await aip_process("--version")
    await ended.communicate()
    noted = json.loads(this_process())
    assert holder_of(json.dumps(noted)) == (os.getpid(), noted["since"])
    assert holder_of(json.dumps({**noted, "pid": ended.pid})) == (None, None)


@pytest.mark.parametrize(
    "damage", [{"host": "another"}, {"pid": 0}, {"pid": "x"}, {"pid": 1 << 70}]
)
def test_a_note_of_another_machine_or_a_damaged_one_is_not_believed(
    damage: dict[str, object],
) -> None:
    noted = json.loads(this_process())
    assert holder_of(json.dumps({**noted, **damage})) == (None, None)
    for written in ("", "{", "7", "[]", "{}"):
        assert holder_of(written) == (None, None)


def test_a_source_that_cannot_be_opened_is_no_interrupted_run(aip: Aip) -> None:
    (aip.folder / "docs").mkdir()
    (aip.folder / "docs" / "a.txt").write_text("Boil water.")
    (aip.folder / "docs" / "b.txt").symlink_to(aip.folder / "docs" / "c.txt")
    (aip.folder / "docs" / "c.parquet").write_bytes(b"no parquet at all")
    assert aip("ingest", "docs").code == 3
    status = aip("status")
    assert "1 source (0 unfinished), 1 chunk, 1 embedding, 1 dead" in status.out
    assert "1 dead" in status.out
    assert "interrupted" not in status.out


async def test_status_tells_of_a_run_that_waits_for_its_first_answer(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("Boil water.")
    async with OpenAIServer(delay_s=3) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        run = await aip_process("ingest", "a.txt", *flags)
        async with asyncio.timeout(20):
            while not server.in_flight:  # noqa: ASYNC110  # looked at from outside
                await asyncio.sleep(0.02)
        status = await aip_process("status")
        out, err = await status.communicate()
        run.kill()
        await run.communicate()
    assert (status.returncode, err) == (0, b"")
    assert b"embedder openai:test, dimensions not yet known" in out
    assert f"an ingest is running: process {run.pid}, since ".encode() in out
    status = await aip_process("status")
    out, err = await status.communicate()
    assert (status.returncode, out) == (1, b"")
    assert b"run `aip ingest` first" in err
