"""Lab torture: ours passes; what fails is called so, by the same rule for all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labs import Cell, Comparison, Form, choose, perform
from labs._environment import NoEnvironment, environment
from labs.experiments.torture import PARTS, torment
from labs.experiments.torture._corpus import Corpus, numbers_in, passage
from labs.experiments.torture._sides import Bench, Done, Held, Side
from labs.experiments.torture._torments import TORMENTS, Trial
from labs.experiments.torture.sides.cookbook_script import passages

GOOD = frozenset(range(1000))
BY_NAME = {torment.name: torment for torment in TORMENTS}


@pytest.mark.timeout(300)  # some 20 processes: 15 s alone, more on a busy machine
def test_ours_passes_every_torment() -> None:
    (made,) = choose(["torture"])
    found = perform(made, form=Form.QUICK).finding
    (comparison,) = found.comparisons
    assert found.verdict == "reproduced", comparison.rows
    assert comparison.sides == ("aip ingest",)
    assert len(comparison.rows) == 11


@pytest.mark.timeout(300)
def test_a_side_without_memory_is_found_out() -> None:
    # The script needs nothing that the labs do not have: no environment is made.
    script = Side(name="script", part="script", module="cookbook_script")
    cells, _ = torment(script, passages=60)
    seen = dict(zip(BY_NAME, cells, strict=True))
    assert seen["unchanged, run again"] == Cell(
        text="60 of 60 embedded again", met=False
    )
    assert seen["every request answered 500"] == Cell(text="exit 0", met=False)
    assert not seen["one text the model refuses"].met
    assert seen["store emptied, run again"].met


def test_a_line_that_a_kill_tore_is_lost_and_the_rest_is_read(tmp_path: Path) -> None:
    row = [{"input": ["one"]}, {"data": [{"index": 0, "embedding": [1.0]}]}, ["a.txt"]]
    whole = json.dumps(row)
    torn = whole[: len(whole) // 2]
    (tmp_path / "results.jsonl").write_text(f"{whole}\n{torn}{whole}\n{whole}\n")
    assert list(passages(tmp_path)) == [("a.txt", "one", 1)] * 2


def trial(*, code: int | None = 0, said: str = "", **seen: int) -> Trial:
    done = Done(code=code, said=said, seconds=1.0)
    return Trial(done=done, state=Path(), wanted=GOOD, damaged="bad.txt", **seen)


def held(*, lost: int = 0, stale: int = 0, empty: int = 0, doubled: int = 0) -> Held:
    numbers = set(range(lost, 1000)) | set(range(5000, 5000 + stale))
    return Held(numbers=numbers, empty=empty, doubled=doubled)


FINE, LOST = held(), held(lost=1)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "first run, 100 requests",
            [(trial(peak=80), FINE)],
            [(trial(peak=81), FINE), (trial(peak=8), LOST), (trial(code=3), FINE)],
        ),
        (
            "unchanged, run again",
            [(trial(), FINE)],
            [(trial(paid=1), FINE), (trial(), LOST)],
        ),
        (
            "one passage edited",
            [(trial(again=10), FINE)],
            [(trial(again=11), FINE), (trial(), LOST), (trial(), held(stale=1))],
        ),
        (
            "one source deleted",
            [(trial(again=10), FINE)],
            [(trial(again=11), FINE), (trial(), LOST), (trial(), held(stale=1))],
        ),
        (
            "update while the server fails",
            [(trial(code=1), FINE), (trial(code=None), FINE)],
            [(trial(code=0), FINE), (trial(code=1), LOST)],
        ),
        (
            "store emptied, run again",
            [(trial(), FINE), (trial(code=1), LOST)],
            [(trial(), LOST)],
        ),
        (
            "every request answered 500",
            [(trial(code=1), LOST)],
            [(trial(), LOST), (trial(code=None), LOST), (trial(code=1), held(empty=1))],
        ),
        (
            "one text the model refuses",
            [(trial(code=3), FINE), (trial(said="skipped bad.txt"), FINE)],
            [(trial(), FINE), (trial(code=3), LOST)],
        ),
        (
            "killed at four fifths, run again",
            [(trial(again=400, before=800), FINE)],
            [
                (trial(again=401, before=800), FINE),
                (trial(before=800), LOST),
                (trial(before=800), held(doubled=1)),
            ],
        ),
    ],
)
def test_the_rule_of_each_torment_tells_good_from_bad(
    name: str, good: list[tuple[Trial, Held]], bad: list[tuple[Trial, Held]]
) -> None:
    torment_ = BY_NAME[name]
    assert [torment_.cell(*each).met for each in good] == [True] * len(good)
    assert [torment_.cell(*each).met for each in bad] == [False] * len(bad)


def test_a_peer_that_cannot_be_installed_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(name: str, *, wanted: tuple[str, ...]) -> Path:
        raise NoEnvironment(f"no {name} with {len(wanted)} packages")

    monkeypatch.setattr("labs.experiments.torture._sides.environment", refused)
    cells, note = torment(PARTS["daft"], passages=10)
    assert {cell.met for cell in cells} == {None}
    assert note == "Daft was not measured: no daft_frame with 3 packages"


def test_an_environment_without_uv_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(NoEnvironment, match="there is no uv"):
        environment("any", wanted=["x"])


def test_a_whole_environment_is_used_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("labs._environment._call", lambda *_: None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "uv")
    with pytest.raises(FileNotFoundError):  # uv made nothing
        environment("any", wanted=["x"])
    bench = Bench(Side(name="ours", part="ours", module="platform"))
    assert bench.version() == "this checkout"


def test_a_corpus_names_each_passage_once(tmp_path: Path) -> None:
    corpus = Corpus.write(tmp_path / "corpus", book=5, notes=3)
    texts = [path.read_text() for path in sorted(corpus.folder.iterdir())]
    assert sorted(n for text in texts for n in numbers_in(text)) == list(range(8))
    assert numbers_in(passage(3)) == {3}


def test_a_comparison_counts_what_each_side_passed() -> None:
    yes, no = Cell(text="", met=True), Cell(text="", met=False)
    made = Comparison(
        title="", sides=("a", "b"), rows=(("r", "", (yes, no)), ("s", "", (yes, yes)))
    )
    assert [made.passed(side) for side in (0, 1)] == [2, 1]
    with pytest.raises(ValueError, match="a cell too few"):
        Comparison(title="", sides=("a", "b"), rows=(("r", "", (yes,)),))
