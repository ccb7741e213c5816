"""Ctrl-C while the input is silent: what was read is stored, and the run ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import Any

import pytest
from command import Aip, aip_process
from openai_server import OpenAIServer
from stored import texts

from aip_pipeline import Ingestion, IngestReport, IngestSettings

LINES = b"".join(b'{"text": "line %d"}\n' % n for n in range(5))
AT_ONCE_S = 2.0  # of a drain that may take 25 s, on a machine that does other things


@asynccontextmanager
async def ingesting(
    *args: str, given: bytes = b""
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `aip ingest` with an open standard input, and end it whatever happens."""
    run = await aip_process("ingest", *args, stdin=asyncio.subprocess.PIPE)
    try:
        assert run.stdin is not None
        run.stdin.write(given)
        yield run
    finally:
        if run.returncode is None:
            run.kill()
        await run.communicate()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # looked at from outside
            await asyncio.sleep(0.01)


async def waits_for_more(run: asyncio.subprocess.Process) -> None:
    """Return when all that was given is read."""
    assert run.stdin is not None
    pipe = run.stdin.get_extra_info("pipe")
    await run.stdin.drain()
    await until(lambda: ioctl(pipe, FIONREAD, bytes(4)) == bytes(4))
    await asyncio.sleep(0.05)  # from there to the next wait is a step of the reader


async def interrupted(
    run: asyncio.subprocess.Process, *, again: bool = False
) -> tuple[str, str, float]:
    """Interrupt; return both outputs, and how long the end took.

    *again* interrupts a second time, when the first was heard.
    """
    loop = asyncio.get_running_loop()
    assert run.stdout is not None
    assert run.stderr is not None
    began = loop.time()
    run.send_signal(signal.SIGINT)
    if again:
        assert (await run.stderr.readline()).startswith(b"aip: stopping: ")
        run.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        await run.wait()
    took_s = loop.time() - began
    out, err = await run.stdout.read(), await run.stderr.read()
    return out.decode(), err.decode(), took_s


def stored(folder: Path) -> list[str]:
    """Return the texts of a store, those of unfinished sources among them."""
    with closing(sqlite3.connect(folder / "aip.db")) as db:
        return [text for (text,) in db.execute("SELECT text FROM chunk ORDER BY text")]


async def test_what_was_read_of_a_silent_pipe_is_stored_and_told(aip: Aip) -> None:
    flags = ("--json", "--log-json", "--report", "r.html")
    async with ingesting("-", *flags, given=LINES + b'{"text": "half') as run:
        await waits_for_more(run)
        out, err, took_s = await interrupted(run)
    assert (run.returncode, took_s < AT_ONCE_S) == (130, True)
    told = json.loads(out)
    assert (told["read"], told["stored"], told["dead"]) == (5, 5, 0)
    assert (told["sources"], told["outcome"]) == (0, "drained")
    assert "standard input was not read to its end" in told["reason"]
    assert told["seconds"] > 0 < told["peak_memory_bytes"]
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events == ["run_started", "commit", "run_finished"]
    page = (aip.folder / "r.html").read_text()
    assert "standard input was not read to its end" in page
    assert stored(aip.folder) == [f"line {n}" for n in range(5)]
    assert texts(aip.folder / "aip.db") == [], "an unfinished source answers nothing"


async def test_a_file_before_a_silent_pipe_is_complete(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("a whole file")
    async with ingesting("a.txt", "-", "--drain", "20", given=LINES) as run:
        await waits_for_more(run)
        out, err, took_s = await interrupted(run)
    assert (run.returncode, took_s < AT_ONCE_S) == (130, True)
    assert out.startswith(
        "Interrupted: 1 source of this run, with 6 chunks in sqlite:///aip.db"
    )
    assert err == "aip: stopping: storing what was read; Ctrl-C again to stop now\n"
    assert texts(aip.folder / "aip.db") == ["a whole file"]


async def test_a_run_after_it_embeds_only_what_is_new_and_completes(aip: Aip) -> None:
    async with ingesting("-", given=LINES) as run:
        await waits_for_more(run)
        await interrupted(run)
    async with ingesting("-", "--json", given=LINES + b'{"text": "new"}\n') as run:
        assert run.stdin is not None
        run.stdin.close()
        out, _ = await run.communicate()
    told = json.loads(out)
    assert (run.returncode, told["stored"], told["embedded"]) == (0, 6, 1)
    assert len(texts(aip.folder / "aip.db")) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
async def test_a_named_pipe_that_nobody_writes_to_is_left_at_once(aip: Aip) -> None:
    os.mkfifo(aip.folder / "pipe")
    async with ingesting("pipe") as run:
        await until((aip.folder / "aip.db.lock").exists)
        await asyncio.sleep(0.05)
        _, _, took_s = await interrupted(run)
    assert (run.returncode, took_s < AT_ONCE_S) == (130, True)


async def test_a_named_pipe_is_read_to_its_end(aip: Aip) -> None:
    os.mkfifo(aip.folder / "pipe")
    async with ingesting("pipe", "--format", "jsonl") as run:
        await until((aip.folder / "aip.db.lock").exists)
        writer = await asyncio.to_thread(os.open, aip.folder / "pipe", os.O_WRONLY)
        os.write(writer, LINES[:30])
        await asyncio.sleep(0.05)
        os.write(writer, LINES[30:])
        os.close(writer)
        await run.communicate()
    assert run.returncode == 0
    assert texts(aip.folder / "aip.db") == [f"line {n}" for n in range(5)]


@pytest.mark.usefixtures("aip")
async def test_a_second_interrupt_stops_at_once() -> None:
    async with OpenAIServer(delay_s=30) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        async with ingesting("-", "--json", *flags) as run:
            assert run.stdin is not None
            run.stdin.write(LINES)
            await waits_for_more(run)
            out, _, took_s = await interrupted(run, again=True)
    assert (run.returncode, took_s < AT_ONCE_S) == (130, True)
    told = json.loads(out)
    assert (told["outcome"], told["stored"]) == ("interrupted", 0)
    assert "standard input was not read to its end" in told["reason"]
    assert told["seconds"] > 0


@pytest.mark.usefixtures("aip")
async def test_what_was_read_is_embedded_within_the_drain() -> None:
    async with OpenAIServer(delay_s=0.3) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        async with ingesting("-", "--json", *flags, given=LINES) as run:
            await waits_for_more(run)
            out, _, took_s = await interrupted(run)
    assert (run.returncode, 0.3 < took_s < 5) == (130, True)
    told = json.loads(out)
    assert (told["outcome"], told["embedded"]) == ("drained", 5)


async def test_a_url_that_does_not_answer_is_left_with_all_outputs(aip: Aip) -> None:
    asked = asyncio.Event()

    async def say_nothing(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/a.jsonl"
    flags = ("--drain", "0", "--json", "--log-json", "--report", "r.html")
    async with silent, ingesting(url, *flags) as run:
        async with asyncio.timeout(20):
            await asked.wait()
        out, err, took_s = await interrupted(run)
    assert (run.returncode, took_s < 6) == (130, True)
    told = json.loads(out)
    assert told["outcome"] == "interrupted"
    assert told["seconds"] > 0 < told["peak_memory_bytes"]
    last = json.loads(err.splitlines()[-1])
    assert (last["event"], last["outcome"]) == ("run_finished", "interrupted")
    assert (aip.folder / "r.html").exists()


@asynccontextmanager
async def open_pipe(folder: Path) -> AsyncIterator[tuple[Path, int]]:
    """Make a named pipe that somebody holds open; give its name, and where to write."""
    os.mkfifo(pipe := folder / "pipe.jsonl")
    held = os.open(pipe, os.O_RDWR)
    try:
        yield pipe, held
    finally:
        os.close(held)


def run_of(pipe: Path, **fields: Any) -> Ingestion:
    settings = IngestSettings(store=f"sqlite:///{pipe.parent}/aip.db", **fields)
    return Ingestion([str(pipe)], settings=settings)


async def all_is_read(run: Ingestion, held: int) -> None:
    await until(lambda: ioctl(held, FIONREAD, bytes(4)) == bytes(4))
    await asyncio.sleep(0.05)
    assert run._inlet.waiting


async def left_by_its_server(
    pipe: Path, held: int
) -> tuple[Ingestion, asyncio.Task[IngestReport]]:
    """Begin a run of 400 lines, whose server goes away once some are stored."""
    async with OpenAIServer() as server:
        run = run_of(pipe, embedder="openai:test", base_url=server.base_url)
        going = asyncio.create_task(run.run())
        os.write(held, b"".join(b'{"text": "%d"}\n' % n for n in range(400)))
        await until(lambda: run.report.stored)
    return run, going


async def test_a_line_that_was_cut_off_by_the_end_is_no_damage(tmp_path: Path) -> None:
    async with open_pipe(tmp_path) as (pipe, held):
        os.write(held, LINES + b'{"text": "half')
        run = run_of(pipe)
        going = asyncio.create_task(run.run())
        await all_is_read(run, held)
        run.drain()
        report = await asyncio.wait_for(going, 10)
    assert (report.stored, report.dead, report.sources) == (5, 0, 0)
    assert run.cut_off == str(pipe)


async def test_what_cannot_be_sent_in_an_outage_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async with open_pipe(tmp_path) as (pipe, held):
        run, going = await left_by_its_server(pipe, held)
        more = b"".join(b'{"text": "more %d"}\n' % n for n in range(400))
        await asyncio.to_thread(os.write, held, more)
        await until(lambda: run.sample(0).outage)
        await all_is_read(run, held)
        run.drain()
        report = await asyncio.wait_for(going, 5)
    assert (run.interrupted, run.sends) == (True, False)
    assert 0 < report.stored < 800


async def test_an_outage_that_begins_after_an_interrupt_ends_the_wait(
    tmp_path: Path,
) -> None:
    async with open_pipe(tmp_path) as (pipe, held):
        run, going = await left_by_its_server(pipe, held)
        await all_is_read(run, held)
        run.drain()
        assert run.sends
        await asyncio.wait_for(going, 10)
    assert (run.interrupted, run.sends) == (True, False)


async def test_the_log_of_a_run_that_was_stopped_says_interrupted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="aip_pipeline")
    async with open_pipe(tmp_path) as (pipe, held):
        run = run_of(pipe)
        going = asyncio.create_task(run.run())
        await until(lambda: run._inlet.waiting)
        await all_is_read(run, held)
        run.drain()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(going, 5)
    assert caplog.messages[-1] == "run interrupted"
