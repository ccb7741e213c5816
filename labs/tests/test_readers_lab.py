"""The bench of the readers passes in its quick form, and its rows can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labs import perform
from labs.experiments.readers import _bench, _exact, _memory, lab

PEAK = "peak over a bare interpreter"


def test_what_is_exact_or_flat_is_so_in_the_quick_form() -> None:
    found = perform(lab, quick=True, only=("memory", "eager", "exact")).finding
    rows = [row for table in found.tables for row in table.rows]
    peaks = [row for row in rows if row.work.endswith(PEAK)]
    assert not [row for row in rows if row.met is False and row not in peaks]
    # The bars in MiB are for a quiet machine and the full sizes, and some are missed
    # by the interpreter's own modules; what may never happen is growth or a whole file.
    for row in peaks:
        measured = [float(number) for number in re.findall(r"[\d.]+", row.measured)]
        assert max(measured) < 24
        assert max(measured) - min(measured) < 2
    assert [table.title for table in found.tables] == ["memory", "eager", "exact"]
    assert found.charts


def test_memory_that_grows_with_the_file_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_memory, "run", _growing)
    assert _memory.memory(True)[0].met is False


def _growing(work: str, path: object, *args: object) -> _bench.Ran:
    del work, args
    size = Path(str(path)).stat().st_size if Path(str(path)).exists() else 0
    return _bench.Ran(cpu_s=0.0, peak_bytes=size, value=1)


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
    assert _exact.exact(True)[0].met is False
