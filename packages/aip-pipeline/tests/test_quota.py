"""An account that may spend no more, before a run and in the middle of one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from command import aip_process
from openai_server import OpenAIServer
from stored import texts

from aip_pipeline import EmbedderDenied, ingest, open_store
from aip_pipeline._canary import CANARY_TEXTS


def write(folder: Path, *, texts: int) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(texts))
    (folder / "a.jsonl").write_text("\n".join(lines))


async def test_a_run_without_quota_ends_at_the_first_answer_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, texts=200)
    async with OpenAIServer(quota=False) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        async with asyncio.timeout(30):
            run = await aip_process("ingest", "a.jsonl", *flags)
            _, err = await run.communicate()
    assert run.returncode == 1
    # A batch that was on its way to be sent may get an answer of its own: one.
    assert server.statuses[429] <= 2
    assert server.statuses[200] == 0
    (line,) = err.decode().splitlines()
    assert line.startswith(f"aip: error: {server.base_url}/embeddings denied the")
    assert "429 You exceeded your quota: check the account's quota and billing" in line


async def test_a_quota_that_ends_in_a_run_loses_nothing_and_kills_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path, texts=600)
    store = f"sqlite:///{tmp_path}/s.db"

    async with OpenAIServer(delay_s=0.01) as server:

        async def run() -> None:
            await ingest(
                str(tmp_path / "a.jsonl"),
                store=store,
                embedder="openai:test",
                base_url=server.base_url,
                batch_size=8,
                concurrency=4,
            )

        async def spend() -> None:
            while len(server.embedded) < 200:  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.002)
            server.quota = False

        spending = asyncio.create_task(spend())
        async with asyncio.timeout(30):
            with pytest.raises(EmbedderDenied, match="check the account's quota"):
                await run()
        await spending
        assert server.statuses[429] <= 4
        server.quota = True
        await run()
        twice = sum(times - 1 for times in server.embedded.values())
        # Beside the canaries, what was answered and not yet stored.
        assert twice <= 4 * 8 + 2 * len(CANARY_TEXTS)
    assert len(texts(tmp_path / "s.db")) == 600
    with open_store(store, create=False) as held:
        assert not held.dead_after(0, limit=1)
