from __future__ import annotations

import math
import subprocess

import pytest

from labs import (
    MIB,
    alternate,
    compare,
    fresh,
    number,
    peak_bytes,
    scratch,
    spread,
    timed,
    traced,
    verdict_of,
    worst,
)
from labs._result import Row, Series, Verdict
from labs.experiments.lazy_range import hold, total_of_list


def row(*, met: bool | None) -> Row:
    return Row(work="", reference="", bar="", measured="", met=met)


def test_fresh_memory_is_that_of_the_child_not_of_the_parent() -> None:
    ballast = bytearray(300 * MIB)
    ballast[::4096] = b"x" * len(ballast[::4096])
    small = fresh(math.sqrt, 4.0)
    assert small.value == 2.0
    assert small.peak_bytes < 100 * MIB < len(ballast) < peak_bytes()


def test_fresh_memory_grows_by_what_the_function_holds() -> None:
    held = fresh(total_of_list, 2_000_000)
    assert held.value == 1_999_999_000_000
    assert 70 * MIB < held.grown_bytes < 90 * MIB


def test_a_failure_in_the_child_is_told_with_its_own_words() -> None:
    with pytest.raises(
        RuntimeError, match=r"math.sqrt failed: ValueError: math domain error"
    ):
        fresh(math.sqrt, -1.0)


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs._measure.FRESH_TIMEOUT_S", 0.001)
    with pytest.raises(subprocess.TimeoutExpired):
        fresh(math.sqrt, 4.0)


def test_traced_gives_peak_and_what_is_left() -> None:
    held = traced(hold, 100_000)
    assert 3.9e6 < held.left_bytes <= held.peak_bytes < 4.1e6
    passing = traced(total_of_list, 100_000)
    assert passing.left_bytes < 1000
    assert passing.peak_bytes > 3.9e6


def test_sides_take_turns_and_swap_who_comes_first() -> None:
    order: list[str] = []

    def side(name: str, figure: float) -> float:
        order.append(name)
        return figure

    found = alternate(lambda: side("a", 6.0), lambda: side("b", 2.0), rounds=3)
    assert "".join(order) == "ababbaab"
    assert found.ratio == spread([3.0, 3.0, 3.0])
    assert found.first.median == 6.0
    assert found.second.median == 2.0


def test_timed_gives_seconds() -> None:
    assert 0 <= timed(lambda: None)() < 1


def test_scratch_is_removed_with_what_it_holds() -> None:
    with scratch() as folder:
        (folder / "file").write_bytes(b"x")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("measured", "good", "verdict"),
    [
        (102.0, "equal", "reproduced"),
        (120.0, "equal", "not reproduced"),
        (120.0, "higher", "better"),
        (120.0, "lower", "not reproduced"),
        (50.0, "lower", "better"),
    ],
)
def test_compares_with_a_claim_of_100(
    measured: float, good: str, verdict: Verdict
) -> None:
    assert good in {"equal", "higher", "lower"}
    found = compare(measured, claimed=100, tolerance=0.05, good=good)  # type: ignore[arg-type]  # checked above
    assert found == verdict


def test_one_missed_bar_decides_a_benchmark() -> None:
    assert verdict_of([row(met=True), row(met=None)]) == "reproduced"
    assert verdict_of([row(met=True), row(met=False)]) == "not reproduced"
    with pytest.raises(ValueError, match="no row"):
        verdict_of([row(met=None)])


def test_the_worst_verdict_stands() -> None:
    assert worst("better", "not reproduced", "reproduced") == "not reproduced"


def test_a_series_of_unequal_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="'s'"):
        Series(label="s", xs=(1, 2), ys=(1,))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12.345, "12.3"), (2e-9, "0.000000002"), (1e6, "1,000,000")],
)
def test_numbers_are_written_for_readers(value: float, text: str) -> None:
    assert number(value) == text
