"""The command `aip` as a shell sees it: a process, its streams, its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openai_server import OpenAIServer
from stored import rows, texts, unpaired

import aip_pipeline
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline._writing import MAX_TRANSACTION_S
from aip_readers import reread

REPORT_FIELDS = [
    *("sources", "read", "stored", "unchanged", "filtered", "dead", "deleted"),
    *("embedded", "reused", "requests", "retries", "tokens", "seconds"),
    *("peak_memory_bytes", "bottleneck", "mirrored", "mirror_behind"),
    *("outcome", "reason"),
]
QUIET_ENV = {k: v for k, v in os.environ.items() if not k.endswith("API_KEY")}


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "aip_pipeline", *map(str, args)]


def aip(
    cwd: Path,
    *args: str | Path,
    env: dict[str, str] | None = None,
    limit: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args),
        cwd=cwd,
        env={**QUIET_ENV, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=limit,  # sets a limit, runs no thread
    )


def only_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


@contextmanager
def serving(**settings: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the OpenAI-compatible server as a process of its own."""
    program = Path(__file__).with_name("openai_server.py")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    server = subprocess.Popen(
        [sys.executable, str(program), *flags], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip(), server
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold a few notes; `tmp_path` is the working folder beside them."""
    made = tmp_path / "notes"
    made.mkdir()
    (made / "bread.md").write_text("# Bread\n\nKnead the dough, let it rise, bake it.")
    (made / "tea.txt").write_text("Boil water and pour it over the leaves.")
    return made


def write_jsonl(path: Path, count: int) -> None:
    lines = (json.dumps({"text": f"text number {n} " * 20}) for n in range(count))
    path.write_text("\n".join(lines) + "\n")


def test_ingest_then_search_finds_the_passage_and_its_bytes(folder: Path) -> None:
    done = aip(folder.parent, "ingest", "notes")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "Done: 2 sources of this run, with 2 chunks in sqlite:///aip.db" in done.stdout
    )
    found = aip(folder.parent, "search", "how do I bake bread", "-k", "1", "--json")
    (hit,) = json.loads(found.stdout)
    assert hit["source"] == str(folder / "bread.md")
    assert hit["line"] == 1
    raw = reread(hit["source"], hit["start"], hit["end"])
    assert raw == (folder / "bread.md").read_bytes()
    assert set(hit) == {
        *("score", "source", "start", "end", "line", "text", "metadata", "within")
    }
    shown = aip(folder.parent, "search", "how do I bake bread", "-k", "1")
    assert f"{folder / 'bread.md'}:1" in shown.stdout


def test_json_prints_one_object_of_the_documented_fields(folder: Path) -> None:
    done = aip(folder.parent, "ingest", "notes", "--json")
    report = json.loads(done.stdout)
    assert list(report) == REPORT_FIELDS
    assert (report["sources"], report["read"], report["stored"]) == (2, 2, 2)
    assert report["peak_memory_bytes"] > 10_000_000
    failed = aip(folder.parent, "ingest", "missing", "--json")
    assert failed.returncode == 2
    assert list(json.loads(failed.stdout)) == REPORT_FIELDS


def test_a_dead_server_is_told_in_seconds_and_nothing_is_lost(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    flags = ("--embedder", "openai:test", "--base-url", url)
    started = time.monotonic()
    failed = aip(folder.parent, "ingest", "notes", *flags)
    assert time.monotonic() - started < 20
    assert failed.returncode == 1
    assert url in only_line(failed.stderr)
    with serving(port=port):
        assert aip(folder.parent, "ingest", "notes", *flags).returncode == 0
    assert len(texts(folder.parent / "aip.db")) == 2


def test_a_wrong_key_is_told_and_never_shown(folder: Path) -> None:
    with serving(key="right") as (url, _):
        flags = ("--embedder", "openai:test", "--base-url", url)
        env = {"AIP_API_KEY": "canary-4711"}
        failed = aip(folder.parent, "--debug", "ingest", "notes", *flags, env=env)
        assert failed.returncode == 1
        assert "401" in failed.stderr
        plain = aip(folder.parent, "ingest", "notes", *flags, env=env)
        assert "401" in only_line(plain.stderr)
        for said in (failed.stderr, failed.stdout, plain.stderr, plain.stdout):
            assert "canary" not in said
        env = {"AIP_API_KEY": "right"}
        assert aip(folder.parent, "ingest", "notes", *flags, env=env).returncode == 0


def test_a_full_disk_is_told_and_the_next_run_goes_on(folder: Path) -> None:
    write_jsonl(folder / "many.jsonl", 3000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    # Slow enough for several transactions before the disk is full.
    with serving(delay_s=0.05) as (url, _):
        flags = ["--embedder", "openai:test", "--base-url", url, "--concurrency", "2"]
        flags += ["--batch-size", "32", "--max-memory", "1M"]
        failed = aip(folder.parent, "ingest", "notes", *flags, limit=limit)
        done = aip(folder.parent, "ingest", "notes", *flags, "--json")
    assert failed.returncode == 1
    assert "free some disk space and run again" in only_line(failed.stderr)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["read"] == report["stored"] + report["unchanged"] == 3002
    assert report["unchanged"] + report["reused"] > 0, "the first run kept something"
    assert len(texts(folder.parent / "aip.db")) == 3002


def test_ctrl_c_drains_and_the_next_run_goes_on(folder: Path) -> None:
    write_jsonl(folder / "many.jsonl", 2000)
    with serving(delay_s=0.05) as (url, _):
        flags = ["--embedder", "openai:test", "--base-url", url, "--concurrency", "2"]
        flags += ["--max-memory", "1M", "--json"]
        run = subprocess.Popen(
            command("ingest", "notes", *flags),
            cwd=folder.parent,
            env=QUIET_ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: stored_chunks(folder.parent / "aip.db") > 0)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
        assert run.returncode == 130
        assert "stopping: finishing what is in flight" in only_line(err)
        first = json.loads(out)
        assert 0 < first["stored"] < 2002
        assert first["read"] == first["stored"]
        assert first["outcome"] == "drained"
        done = aip(folder.parent, "ingest", "notes", *flags)
        assert done.returncode == 0
        second = json.loads(done.stdout)
        assert second["embedded"] + first["embedded"] == 2002
        assert second["unchanged"] == first["stored"]


def test_killed_runs_lose_nothing_and_pay_for_little_twice(folder: Path) -> None:
    write_jsonl(folder / "many.jsonl", 1500)
    (folder / "long.txt").write_text("".join(f"sentence {n}. " for n in range(9000)))
    with serving(delay_s=0.02) as (url, server):
        flags = ["--embedder", "openai:test", "--base-url", url, "--concurrency", "2"]
        flags += ["--max-memory", "1M", "--batch-size", "16"]
        for _ in range(3):
            before = embeddings(folder.parent / "aip.db")
            run = subprocess.Popen(
                command("ingest", "notes", *flags),
                cwd=folder.parent,
                env=QUIET_ENV,
                stdout=subprocess.DEVNULL,
            )
            wait_until(
                lambda before=before: (  # type: ignore[misc]  # a default binds it
                    embeddings(folder.parent / "aip.db") > before
                )
            )
            run.kill()
            run.wait()
        assert aip(folder.parent, "ingest", "notes", *flags).returncode == 0
        server.send_signal(signal.SIGTERM)
        out, _ = server.communicate(timeout=20)
        served = json.loads(out.splitlines()[-1])
    calm = folder.parent / "calm.db"
    asyncio.run(_calm_run(folder, calm))
    assert rows(folder.parent / "aip.db") == rows(calm)
    assert unpaired(calm) == 0
    times = served["texts_by_times_embedded"]
    paid_twice = sum((int(n) - 1) * count for n, count in times.items())
    # Lost by each kill: what was in flight, and what one transaction's time brings.
    a_transaction = 2 * 16 * MAX_TRANSACTION_S / 0.02
    canaries = 4 * len(CANARY_TEXTS)
    assert paid_twice <= canaries + 3 * (2 * 16 + a_transaction) * 0.75


async def _calm_run(folder: Path, store: Path) -> None:
    async with OpenAIServer() as server:
        await aip_pipeline.ingest(
            str(folder),
            store=f"sqlite:///{store}",
            embedder="openai:test",
            base_url=server.base_url,
        )


def stored_chunks(path: Path) -> int:
    return _count(path, "chunk")


def embeddings(path: Path) -> int:
    return _count(path, "embedding")


def _count(path: Path, table: str) -> int:
    if not path.exists():
        return 0
    try:
        with aip_pipeline.open_store(f"sqlite:///{path}", create=False) as store:
            query = f"SELECT count(*) FROM {table}"  # noqa: S608  # two fixed names
            return int(store._db.execute(query).fetchone()[0])
    except aip_pipeline.StoreError:
        return 0


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
