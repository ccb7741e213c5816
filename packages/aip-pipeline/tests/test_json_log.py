"""The log of a run as JSON lines, and a key that must appear in nothing at all."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from command import Aip
from openai_server import OpenAIServer

from aip_pipeline import ingest

KEY = "canary-4711-secret"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_on_stderr_is_one_object(aip: Aip) -> None:
    (aip.folder / "notes").mkdir()
    (aip.folder / "notes" / "tea.txt").write_text("Boil water.")
    (aip.folder / "notes" / "latin.txt").write_bytes(b"caf\xe9")
    ran = aip("ingest", "notes", "--log-json", "--json")
    assert ran.code == 3
    logged = lines(ran.err)
    events = [line["event"] for line in logged]
    assert (events[0], events[-1]) == ("run_started", "run_finished")
    assert events.count("source_finished") == 2
    assert events.count("dead_letter") == 1
    assert "commit" in events
    for line in logged:
        assert list(line)[:4] == ["time", "level", "event", "message"]
        assert line["time"].endswith("+00:00")
    (letter,) = [line for line in logged if line["event"] == "dead_letter"]
    assert (letter["level"], letter["start"]) == ("warning", 3)
    assert logged[-1]["outcome"] == "done"
    report = json.loads(ran.out)
    assert (report.pop("outcome"), report.pop("reason")[:1]) == ("partial", "1")
    assert logged[-1] | report == logged[-1]


def test_an_error_is_an_object_too(aip: Aip) -> None:
    for args, code in ((["gone"], 2), ([".", "--chunk-overlap", "900"], 2)):
        ran = aip("ingest", *args, "--log-json")
        assert ran.code == code
        last = lines(ran.err)[-1]
        assert (last["event"], last["exit_code"]) == ("error", code)
        assert last["message"]
    assert not logging.getLogger("aip_pipeline").isEnabledFor(logging.INFO)


async def test_retries_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = (json.dumps({"text": f"text number {n}"}) for n in range(300))
    (tmp_path / "a.jsonl").write_text("\n".join(texts))
    caplog.set_level(logging.INFO, "aip_pipeline")
    async with OpenAIServer(fault_rate=0.3, seed=5) as server:
        report = await ingest(
            str(tmp_path / "a.jsonl"),
            store=f"sqlite:///{tmp_path}/s.db",
            embedder="openai:test",
            base_url=server.base_url,
            batch_size=16,
        )
    assert report.retries > 0
    counts = [vars(r)["fields"]["count"] for r in caplog.records if is_retry(r)]
    assert sum(counts) == report.retries


def is_retry(record: logging.LogRecord) -> bool:
    return vars(record).get("event") == "retry"


def test_a_library_prints_nothing(aip: Aip) -> None:
    (aip.folder / "latin.txt").write_bytes(b"caf\xe9")
    ran = aip("ingest", "latin.txt", "--json")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("aip: dead: ")
