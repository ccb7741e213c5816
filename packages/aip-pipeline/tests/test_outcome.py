"""What `aip ingest --json` says of its own end agrees with its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import Aip, Ran
from openai_server import OpenAIServer
from served import Served

from aip_pipeline import Ingestion, IngestReport
from aip_pipeline.cli import _ingest
from aip_pipeline.cli._outcome import JsonReport

CODES = {
    "complete": 0,
    "failed": 1,
    "refused": 2,
    "partial": 3,
    "stopped": 4,
    "drained": 130,
    "interrupted": 130,
}


@pytest.fixture
def notes(aip: Aip) -> Path:
    made = aip.folder / "notes"
    made.mkdir()
    for name in "abcdef":
        (made / f"{name}.txt").write_text(f"the text of {name}")
    return made


def end(ran: Ran) -> tuple[str, str | None]:
    told: dict[str, Any] = json.loads(ran.out)
    assert CODES[told["outcome"]] == ran.code
    assert (told["reason"] is None) == (ran.code == 0)
    assert {*IngestReport().as_dict(), "outcome", "reason"} == told.keys()
    return told["outcome"], told["reason"]


def test_each_end_has_its_word_and_its_reason(aip: Aip, notes: Path) -> None:
    assert end(aip("ingest", "notes", "--json")) == ("complete", None)
    (notes / "bad.jsonl").write_text("{oops}\n")
    assert end(aip("ingest", "notes", "--json")) == (
        "partial",
        "1 could not be stored: see `aip dead list`",
    )
    for name in "abc":
        (notes / f"{name}.txt").unlink()
    pruned = aip("ingest", "notes", "--json", "--prune")
    outcome, reason = end(pruned)
    assert outcome == "failed"
    assert pruned.err == f"aip: error: {reason}\n"
    outcome, reason = end(aip("ingest", "missing", "--json"))
    assert (outcome, str(reason)[:30]) == ("refused", "no such file or folder at miss")
    outcome, reason = end(aip("ingest", "notes", "--json", "--batch-size", "x"))
    assert (outcome, "'x' is not a valid" in str(reason)) == ("refused", True)
    (aip.folder / "aip.toml").write_text("nope = 1")
    outcome, reason = end(aip("ingest", "notes", "--json"))
    assert (outcome, "which is no setting" in str(reason)) == ("refused", True)


@pytest.mark.usefixtures("notes")
def test_a_budget_and_a_dead_server_have_theirs(aip: Aip) -> None:
    with Served(OpenAIServer()) as server:
        used = ("--embedder", "openai:test", "--base-url", server.base_url, "--json")
        ran = aip("ingest", "notes", *used, "--max-tokens", "1")
        outcome, reason = end(ran)
        assert outcome == "stopped"
        assert reason == (
            "the budget of tokens is smaller than the first request: 13 tokens are set "
            "aside for it until its answer tells what it cost, and the budget is 1 "
            "token"
        )
    outcome, reason = end(aip("ingest", "notes", *used))
    assert (outcome, "cannot reach" in str(reason)) == ("failed", True)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (("--max-tokens", "20000"), "tokens"),
        (("--max-cost", "0.02", "--price", "1"), "cost"),
        (("--max-cost", "0.02", "--price", "1", "--max-tokens", "21000"), "cost"),
    ],
)
def test_a_budget_smaller_than_a_batch_is_used_up_by_smaller_ones(
    aip: Aip, flags: tuple[str, ...], kind: str
) -> None:
    words = (f"word{n}" for n in range(45_000))
    (aip.folder / "large.txt").write_text(" ".join(words))
    with Served(OpenAIServer()) as server:
        used = ("--embedder", "openai:test", "--base-url", server.base_url, "--json")
        ran = aip("ingest", "large.txt", *used, *flags)
    assert end(ran) == ("stopped", f"the budget of {kind} is spent")
    assert 10_000 < json.loads(ran.out)["tokens"] <= 20_000


def test_what_nobody_expected_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (RuntimeError("odd"), KeyboardInterrupt()):
        with pytest.raises(type(error)), JsonReport(wanted=True):
            raise error
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["outcome"], first["reason"]) == (
        "failed",
        "unexpected RuntimeError: odd",
    )
    assert second["outcome"] == "interrupted"


@pytest.mark.usefixtures("notes")
def test_an_interrupt_that_drains_says_so(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Ingestion):
        async def run(self) -> IngestReport:
            self.drain()
            return await super().run()

    monkeypatch.setattr(_ingest, "Ingestion", Interrupted)
    assert end(aip("ingest", "notes", "--json")) == (
        "drained",
        "interrupted; what was in flight is stored",
    )
