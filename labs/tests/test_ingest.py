from __future__ import annotations

import json
from pathlib import Path

import pytest

from labs.experiments.ingest import lab
from labs.experiments.ingest._client import aip, run, script, serving
from labs.experiments.ingest._corpus import write_corpus
from labs.experiments.ingest._cost import WORKS, Cost, compared


def test_both_sides_send_the_same_texts(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", n_bytes=200_000)
    seen = []
    for side in (script, aip):
        with serving() as server:
            options = () if side is script else WORKS[0].options
            where = corpus.path, tmp_path / f"{side.__name__}.db", server.url
            done = run(side(*where, *options), tmp_path)
            assert done.code == 0, done.stderr
            assert done.cpu_s > 0
            assert done.peak_bytes > 10 << 20
            seen.append(server.stats()["sum"])
    assert seen[0] == seen[1]


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
    rows = compared(WORKS[0], [ours], [theirs], quick=False)
    assert [row.met for row in rows] == [not slow] * 4


def test_the_quick_form_measures_every_bar() -> None:
    found = lab.run(True, ("cost",))
    (table,) = found.tables
    assert found.verdict == "reproduced", table
