"""The bench of the readers passes in its quick form, and its rows can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labs import Form, perform
from labs.experiments.readers import _bench, _exact, _memory, lab

PEAK = "peak over a bare interpreter"
# asyncio alone takes 10.6 of the 12 MiB, and a window of 2 MiB with its decompressor
# 4.6 of the 4.
OTHERS_TAKE_MOST = "async batches", "zstd, its window 2 MiB"


def test_what_is_exact_or_flat_is_so_in_the_quick_form() -> None:
    found = perform(lab, form=Form.QUICK, only=("memory", "eager", "exact")).finding
    rows = [row for table in found.tables for row in table.rows]
    assert not [row for row in rows if row.met is False]
    peaks = [row for row in rows if row.work.endswith(PEAK) and row.met is not None]
    for row in peaks:
        measured = [float(number) for number in re.findall(r"[\d.]+", row.measured)]
        bar = float(row.bar.split()[1])
        assert max(measured) <= bar + 3 * row.work.startswith(OTHERS_TAKE_MOST)
    assert len(peaks) > 5
    assert [table.title for table in found.tables] == ["memory", "eager", "exact"]
    assert found.charts


def test_memory_that_grows_with_the_file_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_memory, "run", _growing)
    assert _memory.memory(Form.QUICK)[0].met is False


def _growing(work: str, path: object, *args: object) -> _bench.Ran:
    del work, args
    size = Path(str(path)).stat().st_size if Path(str(path)).exists() else 0
    return _bench.Ran(cpu_s=0.0, peak_bytes=size, value=1)


def test_what_is_short_is_raced_more_often_and_in_as_many_layouts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layouts: list[int] = []

    def timed(work: str, *args: object, warm: object, layout: int) -> _bench.Ran:
        del args, warm
        layouts.append(len(_bench.environ(layout)["PADDING"]))
        return _bench.Ran(float(work), 0, 0)

    monkeypatch.setattr(_bench, "run", timed)
    for work, times in ("0.01", 15), ("1", 3):
        layouts.clear()
        both = (work, Path()), (work, Path("reference"))
        raced = _bench.race(*both, warm=Path(), rounds=3, scale=1)
        assert raced.ratio.runs == len(set(layouts)) == times


def test_a_reader_that_goes_on_elsewhere_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = _bench.run

    def wrong(work: str, *args: object) -> _bench.Ran:
        done: _bench.Ran = real(work, *args)
        if work == "resume" and str(args[1]).endswith("parts"):
            Path(str(args[1])).write_text("else")
        return done

    monkeypatch.setattr(_exact, "run", wrong)
    assert _exact.exact(Form.QUICK)[0].met is False
