"""`aip status` from another shell, while a run goes on."""

from __future__ import annotations

import asyncio
import json

from command import Aip, aip_process
from openai_server import OpenAIServer


def is_running(process: asyncio.subprocess.Process) -> bool:
    return process.returncode is None


async def test_status_answers_and_moves_while_a_run_goes_on(aip: Aip) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(4000))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        small = ("--concurrency", "1", "--max-memory", "1M", "--batch-size", "32")
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
                pending = max(pending, found["pending"])
                seen.append(found["embeddings"])
        assert is_running(run)
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
