from __future__ import annotations

import pytest

from labs import choose, perform
from labs.experiments import lazy_range


def test_a_list_costs_40_bytes_a_number_and_a_range_nothing() -> None:
    (made,) = choose(["1.1"])
    found = perform(made, quick=True).finding
    assert found.verdict == "reproduced", found.measured
    held, grown = found.figures[0], found.figures[3]
    assert 0.5 < grown.value / held.value < 1.5


def test_a_range_that_holds_its_numbers_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lazy_range, "count", lazy_range.hold)
    assert lazy_range.lab.run(True).verdict == "not reproduced"
