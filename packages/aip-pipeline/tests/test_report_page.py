"""The page that a run leaves: whole, true, loading nothing, and safe to open."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from command import Aip, aip_process
from hypothesis import given, strategies as st
from openai_server import OpenAIServer

from aip_pipeline import Ingestion, IngestSettings, PipelineError
from aip_pipeline._charts import HEIGHT, WIDTH, Line, chart, short, time_ticks
from aip_pipeline._page import _rates, page
from aip_pipeline._sampling import (
    MAX_REASONS,
    MAX_SAMPLES,
    Recorder,
    Sample,
    Series,
)
from aip_pipeline.cli._report_file import ReportFile
from aip_pipeline.stores import DeadLetter

VOID = {"meta", "br", "path"}
LOADERS = {"src", "href", "srcset", "data", "action", "poster", "xlink:href"}


class Page(HTMLParser):
    """Read a page; every tag must close, and nothing may be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert tag not in {"script", "link", "img", "iframe", "object"}
        assert not LOADERS & {name for name, _ in attrs}
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", text)
    return Page(text)


def sample(at_s: float, **more: float) -> Sample:
    fields = dict.fromkeys(Sample._fields, 0) | {"at_s": at_s} | more
    return Sample(**fields)  # type: ignore[arg-type]  # a test's shorthand


async def test_a_run_is_told_with_plots_costs_and_what_was_skipped(aip: Aip) -> None:
    lines = [json.dumps({"text": f"text number {n}"}) for n in range(400)]
    lines[7] = lines[9] = json.dumps({"text": "POISON"})
    (aip.folder / "a.jsonl").write_text("\n".join([*lines, "{oops"]))
    async with OpenAIServer(poison="POISON", delay_s=0.06) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        slow = ("--concurrency", "1", "--batch-size", "16", "--price", "0.5")
        run = await aip_process(
            "ingest", "a.jsonl", *flags, *slow, "--report", "r.html"
        )
        await run.communicate()
    assert run.returncode == 3
    shown = read(aip.folder / "r.html")
    assert shown.tags.count("svg") == 6
    for words in (
        "done, with 3 dead",
        "Read 401 = stored 398 + unchanged 0 + filtered 0 + dead 3 chunks",
        "'input' holds what the model cannot take.",
        "this line is not JSON",
        "at 0.5 a million",
        server.base_url,
        "Chunks stored per second",
    ):
        assert words in shown.words
    assert not list(aip.folder.glob("*.part"))


def test_a_run_that_fails_leaves_its_page(aip: Aip) -> None:
    ran = aip("ingest", "gone", "--report", "r.html")
    assert ran.code == 2
    shown = read(aip.folder / "r.html")
    assert "failed: no such file or folder at gone" in shown.words
    assert "too short to plot" in shown.words


def test_an_unchanged_rerun_says_so(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("Boil water.")
    aip("ingest", "a.txt")
    assert aip("ingest", "a.txt", "--report", "r.html").code == 0
    assert "1 chunksunchanged since an earlier run" in read(Path("r.html")).words


def test_files_that_a_folder_passes_over_are_in_the_page(aip: Aip) -> None:
    (aip.folder / "in").mkdir()
    for name in ("a.txt", "b.png", "c.png", *(f"d.x{n}" for n in range(9))):
        (aip.folder / "in" / name).write_text("Boil water.")
    assert aip("ingest", "in", "--report", "r.html").code == 0
    words = read(Path("r.html")).words
    assert "11 filesof a suffix that aip does not know.png 2, .x0 1" in words
    assert ".x3 1, ..." in words
    assert ".x4" not in words


def test_what_was_pruned_is_not_said_to_answer(aip: Aip) -> None:
    (aip.folder / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (aip.folder / "in" / name).write_text(f"Boil {name}.")
    aip("ingest", "in")
    (aip.folder / "in" / "b.txt").unlink()
    assert aip("ingest", "in", "--prune", "--report", "r.html").code == 1
    assert "1 sourcesvanished, and still answering" in read(Path("r.html")).words
    assert aip("ingest", "in", "--prune", "--yes", "--report", "r.html").code == 0
    assert "1 sourcesvanished, and removed" in read(Path("r.html")).words


def test_a_page_that_cannot_be_written_is_told_first(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("Boil water.")
    ran = aip("ingest", "a.txt", "--report", "no/r.html")
    assert ran.code == 2
    assert "there is no folder no" in ran.err
    assert not (aip.folder / "aip.db").exists()


def test_hostile_names_and_reasons_stay_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&"
    settings = IngestSettings(base_url="http://u:canary@h/v1", text_field=evil)
    run = Ingestion([evil], settings=settings)
    run.report.dead = run.report.read = 1
    recorder = Recorder()
    recorder.dead_letter(DeadLetter(evil, 0, None, 1, None, evil, 1, None))
    (tmp_path / "r.html").write_text(page(run, recorder, outcome=evil, ended=evil))
    shown = read(tmp_path / "r.html")
    assert shown.words.count(evil) >= 5
    assert "canary" not in (tmp_path / "r.html").read_text()


def test_a_long_run_keeps_few_samples_evenly_spread() -> None:
    series = Series()
    for number in range(50_000):
        series.add(sample(number * 0.15, stored=number))
        assert len(series.samples) <= MAX_SAMPLES
    series.add(sample(50_000 * 0.15), last=True)
    times = [one.at_s for one in series.samples]
    gaps = [b - a for a, b in pairwise(times[:-1])]
    assert len(times) > MAX_SAMPLES // 3
    assert times[0] == 0
    assert max(gaps) < 2.5 * min(gaps)
    assert times[-1] == pytest.approx(7500)


def test_a_steady_run_is_drawn_as_a_level_line() -> None:
    samples = [sample(n * 0.15, stored=int(n * 150)) for n in range(200)]
    rates = _rates(samples)
    assert len(rates) > 20
    assert {round(rate) for _, rate in rates} == {1000}
    times = [at_s for at_s, _ in rates]
    assert (times[0], times[-1]) == (0, samples[-1].at_s)
    assert times == sorted(times)
    assert _rates(samples[:3]) == []


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    run = Ingestion(["."], settings=IngestSettings())
    run.interrupted = True
    with ReportFile(tmp_path / "r.html").written_of(run):
        pass
    words = read(tmp_path / "r.html").words
    assert "interrupted: run the same command again to go on" in words


def test_a_page_that_fails_to_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.html").mkdir()
    run = Ingestion(["."], settings=IngestSettings())
    file = ReportFile(tmp_path / "r.html")
    with (
        pytest.raises(PipelineError, match="cannot write the report"),
        file.written_of(run),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_reasons_are_bounded_and_the_rest_is_counted() -> None:
    recorder = Recorder()
    for number in range(MAX_REASONS + 5):
        letter = DeadLetter("/a", 0, None, 1, None, f"reason {number}", 1, None)
        recorder.dead_letter(letter)
        recorder.dead_letter(letter)
    assert len(recorder.reasons) == MAX_REASONS
    assert recorder.more_reasons == 10
    assert {reason.number for reason in recorder.reasons.values()} == {2}


values = st.floats(0, 1e15)
times = st.lists(st.floats(0.001, 1e6), min_size=2, max_size=20, unique=True)


@given(at=times, data=st.data())
def test_every_point_lies_in_its_picture(at: list[float], data: st.DataObject) -> None:
    points = [(at_s, data.draw(values)) for at_s in sorted(at)]
    picture = chart("t", [Line("a", points)], write=short)
    Page(picture)
    drawn = re.findall(r'class="line s1" d="M([^"]+)"', picture)
    for pair in drawn[0].split("L"):
        x, y = map(float, pair.split())
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@given(st.floats(0.05, 1e8))
def test_an_axis_of_time_has_few_ticks_within_it(end_s: float) -> None:
    ticks = time_ticks(end_s)
    assert 1 <= len(ticks) <= 8
    assert ticks[0] == 0
    assert ticks[-1] <= end_s + 0.001
