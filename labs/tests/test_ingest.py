from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from argparse import Namespace
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from labs import Form, Row
from labs.experiments.ingest import _again, _saturate, lab
from labs.experiments.ingest._client import SAME_WORK, aip, run, script, serving
from labs.experiments.ingest._corpus import Corpus, write_corpus, write_short
from labs.experiments.ingest._cost import WORKS, Cost, check, compared
from labs.experiments.ingest._stored import Harm, harm, live_texts


def test_both_sides_store_the_same_texts(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", n_bytes=200_000)
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    with serving() as server:
        done = run(aip(corpus.path, ours, server.url, *SAME_WORK), tmp_path)
        check(done)
        check(run(script(corpus.path, theirs, server.url), tmp_path))
    assert done.cpu_s > 0
    assert done.peak_bytes > 10 << 20
    with closing(sqlite3.connect(theirs)) as db:
        stored = {text for (text,) in db.execute("SELECT text FROM chunk")}
    assert stored == live_texts(ours)
    assert len(stored) == corpus.texts


def test_a_refused_request_is_no_use_of_a_slot() -> None:
    # It knows no method, and so refuses every request.
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(_saturate.main(Namespace(url=url, requests=1)))
    assert "the server answered 501" in str(caught.value.exceptions)


def test_the_corpus_is_seeded_and_repeats_no_text(tmp_path: Path) -> None:
    one = write_corpus(tmp_path / "1", n_bytes=4_000_000)
    two = write_corpus(tmp_path / "2", n_bytes=4_000_000)
    assert one.path.read_bytes() == two.path.read_bytes()
    with one.path.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    assert len(set(texts)) == one.texts
    assert max(map(len, texts)) > 90_000
    assert 1_400 < sum(map(len, texts)) / len(texts) < 2_000


@pytest.mark.parametrize("slow", [False, True])
def test_a_slow_or_wasteful_side_misses_its_bars(slow: bool) -> None:  # noqa: FBT001  # the case
    theirs = Cost(cpu_s=0.3, per_s=1000, first_s=0.4, requests=10, texts=640)
    ours = Cost(
        cpu_s=0.31 if slow else 0.29,
        per_s=990 if slow else 1010,
        first_s=0.51 if slow else 0.49,
        requests=12 if slow else 11,
        texts=640,
    )
    rows = compared(WORKS[0], [ours], [theirs], form=Form.WHOLE)
    assert [row.met for row in rows] == [not slow] * 4


@pytest.mark.timeout(600)  # some 40 processes: 15 s alone, minutes on a busy machine
def test_the_quick_form_meets_every_bar() -> None:
    found = lab.run(Form.QUICK)
    (table,) = found.tables
    assert len(table.rows) == 24
    assert found.verdict == "reproduced", [
        row for row in table.rows if row.met is False
    ]


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Corpus]:
    """Make a store of a few texts, as it should be."""
    corpus = write_short(tmp_path / "corpus.jsonl", texts=100)
    with serving() as server:
        where = corpus.path, tmp_path / "store.db", server.url
        assert run(aip(*where, *SAME_WORK), tmp_path).code == 0
    return tmp_path / "store.db", corpus


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM chunk WHERE id < 4", Harm(lost=3)),
        (
            """INSERT INTO chunk SELECT id + 1000, source, generation, ordinal + 1000,
            span_start, span_end, within_start, within_end, line, text_hash, text,
            metadata FROM chunk WHERE id < 3""",
            Harm(duplicated=2),
        ),
        (
            """UPDATE embedding SET vector =
            (SELECT vector FROM embedding WHERE id = 2) WHERE id = 1""",
            Harm(wrong=1),
        ),
        ("DELETE FROM embedding WHERE id < 3", Harm(wrong=2)),
    ],
)
def test_every_harm_to_a_store_is_found(
    stored: tuple[Path, Corpus], damage: str, found: Harm
) -> None:
    assert not harm(*stored)
    with closing(sqlite3.connect(stored[0])) as db, db:
        db.execute(damage)
    assert harm(*stored) == found


def test_a_run_that_ends_badly_is_not_measured(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", "raise SystemExit('no disk')"], tmp_path)
    with pytest.raises(RuntimeError, match="ended with 1, not 0: it said no disk"):
        check(done)


def test_a_bench_that_fails_is_a_bar_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(form: Form) -> tuple[Row, ...]:
        raise RuntimeError(f"no disk, form={form}")

    monkeypatch.setattr(_again, "again", failing)
    found = lab.run(Form.QUICK, ("again",))
    assert found.verdict == "not reproduced"
    assert "no disk" in found.tables[0].rows[0].measured
