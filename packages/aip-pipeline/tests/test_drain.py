"""An interrupt waits for the answers that are on their way, and for nothing else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from command import Aip, aip_process
from openai_server import OpenAIServer
from stored import texts

from aip_pipeline import EmbedderUnavailable, Ingestion, IngestSettings

Answer = Callable[[list[str]], Awaitable[web.Response]]
DOWN = web.HTTPServiceUnavailable


def write(folder: Path, *, count: int = 2000) -> Path:
    lines = (json.dumps({"text": f"text number {n:05}"}) for n in range(count))
    path = folder / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def embedded(inputs: list[str]) -> web.Response:
    data = [{"index": n, "embedding": [1.0, 0.0]} for n in range(len(inputs))]
    return web.Response(body=json.dumps({"data": data}).encode())


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Serve embeddings as *answer* says; give the base URL."""

    async def handle(request: web.Request) -> web.Response:
        return await answer((await request.json())["input"])

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def run_of(path: Path, url: str, **more: Any) -> Ingestion:
    store = f"sqlite:///{path.parent}/s.db"
    fields = {"embedder": "openai:test", "batch_size": 16, "concurrency": 8, **more}
    settings = IngestSettings(store=store, base_url=url, **fields)
    return Ingestion([str(path)], settings=settings)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # looked at from outside
            await asyncio.sleep(0.01)


async def test_an_interrupt_while_the_server_is_down_waits_for_nothing(
    aip: Aip,
) -> None:
    write(aip.folder)
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        few = ("--concurrency", "8", "--batch-size", "8", "--max-memory", "1M")
        run = await aip_process("ingest", "a.jsonl", *flags, *few, "--log-json")
        assert run.stderr is not None
        await until(lambda: len(server.embedded) > 200)
    async with asyncio.timeout(20):
        async for line in run.stderr:
            if b"nothing gets through" in line:
                break
    loop = asyncio.get_running_loop()
    interrupted_at = loop.time()
    run.terminate()
    out, _ = await run.communicate()
    assert loop.time() - interrupted_at < 10, "the drain alone may take 25 s"
    assert run.returncode == 130
    assert out.decode().splitlines()[0].startswith("Interrupted: ")
    assert b"Run the same command again to go on from here." in out
    kept = len(texts(aip.folder / "aip.db"))
    async with OpenAIServer(port=server.port) as server:
        run = await aip_process("ingest", "a.jsonl", *flags, *few, "--json")
        out, _ = await run.communicate()
    assert (run.returncode, json.loads(out)["read"]) == (0, 2000)
    assert kept < len(texts(aip.folder / "aip.db")) == 2000


async def test_an_interrupt_in_an_outage_waits_for_what_is_on_the_wire(
    tmp_path: Path,
) -> None:
    path, sent = write(tmp_path), 0
    late = asyncio.Event()

    async def answer(inputs: list[str]) -> web.Response:
        nonlocal sent
        sent += 1
        if sent == 1:
            return embedded(inputs)
        if sent == 2:
            await late.wait()
            return embedded(inputs)
        raise DOWN

    async with answering(answer) as url:
        run = run_of(path, url)
        going = asyncio.create_task(run.run())
        await until(lambda: run.sample(0).outage)
        run.drain()
        await asyncio.wait([going], timeout=0.3)
        assert not going.done(), "an answer may still come"
        late.set()
        report = await asyncio.wait_for(going, 5)
    assert run.interrupted
    assert report.embedded == 2 * 16 - 3, "the canaries went with the first"


async def test_a_run_gives_up_a_lost_server_after_its_deadline(tmp_path: Path) -> None:
    path, sent = write(tmp_path), 0

    async def answer(inputs: list[str]) -> web.Response:
        nonlocal sent
        sent += 1
        if sent == 1:
            return embedded(inputs)
        raise DOWN

    async with answering(answer) as url:
        run = run_of(path, url, deadline_s=0.5)
        with pytest.raises(EmbedderUnavailable, match=r"deadline of 0\.5 s"):
            await asyncio.wait_for(run.run(), 10)
    assert run.report.embedded == 13, "the canaries went with the first 16"


async def test_an_interrupt_does_not_wait_until_a_busy_server_admits_more(
    tmp_path: Path,
) -> None:
    path, sent = write(tmp_path), 0

    async def answer(inputs: list[str]) -> web.Response:
        nonlocal sent
        sent += 1
        if sent > 3:
            raise web.HTTPTooManyRequests(headers={"Retry-After": "60"})
        return embedded(inputs)

    async with answering(answer) as url:
        run = run_of(path, url, concurrency=1)
        going = asyncio.create_task(run.run())
        await until(lambda: run.sample(0).retries)
        run.drain()
        report = await asyncio.wait_for(going, 5)
    assert report.embedded == 3 * 16 - 3
    with sqlite3.connect(tmp_path / "s.db") as store:
        assert store.execute("SELECT count(*) FROM embedding").fetchone() == (45,)
    store.close()
