"""What a terminal shows of a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
from pathlib import Path

import pytest
from command import Aip, aip_process
from openai_server import OpenAIServer

from aip_httpclient.testing import Faults, FaultServer
from aip_pipeline import Ingestion, IngestSettings
from aip_pipeline._headway import WATCHED_S, Headway, bytes_to_read
from aip_pipeline.cli import _progress
from aip_pipeline.cli._progress import Progress


async def test_a_terminal_shows_the_part_done_the_time_left_and_the_cause(
    aip: Aip,
) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(4000))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        small = ("--concurrency", "1", "--max-memory", "1M", "--batch-size", "16")
        run = await aip_process("ingest", "a.jsonl", *flags, *small, stderr=theirs)
        shown = b""
        async with asyncio.timeout(30):
            while not (b" left" in shown and b"waiting on answers" in shown):
                await asyncio.sleep(0.02)
                try:
                    shown += os.read(ours, 65536)
                except BlockingIOError:
                    assert run.returncode is None, shown.decode()
        run.terminate()
        await run.communicate()
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 130
    assert b"%, about" in shown


async def test_a_terminal_shows_an_outage_instead_of_a_rate(aip: Aip) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(4000))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    shown = b""

    async def show(words: bytes) -> None:
        nonlocal shown
        async with asyncio.timeout(20):
            while words not in shown:
                await asyncio.sleep(0.02)
                with contextlib.suppress(BlockingIOError):
                    shown += os.read(ours, 65536)

    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        small = ("--max-memory", "1M", "--batch-size", "16")
        run = await aip_process("ingest", "a.jsonl", *flags, *small, stderr=theirs)
        while len(server.embedded) < 100:
            await show(b"waiting on")
            await asyncio.sleep(0.02)
    await show(b"server down for 0 s, probing; ")
    await show(b"server down for 1 s, probing; ")
    assert b"waiting on" not in shown.partition(b"server down for 0 s")[2]
    run.terminate()
    await show(b"stopping: the server is down, so only an answer that is on its way")
    await run.communicate()
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 130


async def test_a_terminal_shows_for_how_long_every_request_was_refused(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    (aip.folder / "a.txt").write_text("A sentence. " * 2000)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    monkeypatch.setattr(_progress, "LONG_S", 0.3)
    shown = b""
    async with OpenAIServer(busy=1 << 30) as server:
        settings = IngestSettings(
            store=f"sqlite:///{aip.folder}/s.db",
            embedder="openai:test",
            base_url=server.base_url,
        )
        run = Ingestion([str(aip.folder / "a.txt")], settings=settings)
        with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr("sys.stderr", terminal)
            with Progress(quiet=False) as progress:
                running = asyncio.create_task(run.run())
                following = asyncio.create_task(progress.follow(run))
                async with asyncio.timeout(20):
                    while b"server has refused every request for 0 s" not in shown:
                        await asyncio.sleep(0.02)
                        with contextlib.suppress(BlockingIOError):
                            shown += os.read(ours, 65536)
                    server.busy = 0
                    await running
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    os.close(ours)
    assert run.report.read == run.report.stored > 0


async def test_without_a_terminal_a_line_says_that_every_request_is_refused(
    aip: Aip,
) -> None:
    (aip.folder / "a.txt").write_text("A sentence. ")
    async with FaultServer(Faults(throttle_rate=1.0, retry_after_s=30)) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.url)
        run = await aip_process("ingest", "a.txt", *flags)
        assert run.stderr is not None
        async with asyncio.timeout(20):
            line = await run.stderr.readline()
        run.kill()
        await run.communicate()
    said = (
        b"every request is refused (answered 429 Too Many Requests): waiting as asked"
    )
    assert line.strip() == said


def test_the_bytes_of_all_files_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    (tmp_path / "b.md").write_bytes(b"de")
    (tmp_path / "c.xyz").write_bytes(b"not read")
    given = [str(tmp_path)]
    assert bytes_to_read(given, stop=lambda: False) == 5
    assert bytes_to_read(given, stop=lambda: True) is None
    assert bytes_to_read(["-", *given], stop=lambda: False) is None
    assert bytes_to_read([str(tmp_path / "gone")], stop=lambda: False) is None


async def test_a_terminal_shows_what_is_stored_and_not_what_is_read(aip: Aip) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(800))
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    shown = b""
    async with OpenAIServer(delay_s=0.05) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        slow = ("--concurrency", "1", "--batch-size", "16")
        run = await aip_process("ingest", "a.jsonl", *flags, *slow, stderr=theirs)
        ended = asyncio.create_task(run.communicate())
        async with asyncio.timeout(30):
            while not ended.done():
                await asyncio.sleep(0.02)
                with contextlib.suppress(BlockingIOError):
                    shown += os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert run.returncode == 0, shown.decode()
    parts = [int(part) for part in re.findall(rb"(\d+) %(?:;|, about)", shown)]
    assert parts == sorted(parts)
    # All is read within the first commit; what is stored grows by steps.
    assert any(0 < part < 100 for part in parts)
    assert 100 not in parts


def test_the_time_left_follows_from_the_last_half_minute() -> None:
    headway = Headway()

    def told(at_s: float, durable_bytes: float) -> str:
        return headway.told(at_s=at_s, durable_bytes=durable_bytes, total_bytes=1000)

    assert told(0, 0) == "0 %"
    assert told(1, 500) == "50 %"  # half of it did not change
    moving = [told(at_s, 500 + at_s) for at_s in range(2, 60)]
    assert moving[-1] == "56 %, about 7 min left"
    standing = [told(at_s, 559) for at_s in range(60, 62 + int(WATCHED_S))]
    assert standing[-1] == "56 %"
    assert told(100, 999.9) == "100 %, about 1 s left"
    assert told(101, 1000) == "finishing"


def test_nothing_is_told_of_what_nobody_can_know() -> None:
    headway = Headway()
    assert headway.told(at_s=0, durable_bytes=7, total_bytes=None) == ""
    assert headway.told(at_s=1, durable_bytes=0, total_bytes=0) == ""
