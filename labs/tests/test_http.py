"""Lab http in its quick form: every bench runs; only what time can't blur is judged."""

from __future__ import annotations

import pytest

from labs import Form, choose, perform


@pytest.mark.alone
def test_the_quick_form_measures_every_bench() -> None:
    (made,) = choose(["http"])
    found = perform(made, form=Form.QUICK).finding
    (table,) = found.tables
    assert len(table.rows) >= len(made.parts)
    missed = [row for row in table.rows if row.met is False]
    assert not missed
    assert [chart.kind for chart in found.charts] == ["line"]
