from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from labs import (
    Cell,
    Chart,
    Comparison,
    Finding,
    Form,
    Result,
    Row,
    Series,
    Table,
    choose,
)
from labs._draw import _fill, _inches
from labs._report import page

NAMES = [f"a work of a name that is long, number {n}" for n in range(12)]


def chart(count: int, *, log_y: bool = True) -> Chart:
    series = Series(label="times", xs=NAMES[:count], ys=[10.0] * count)
    return Chart(title="", x="work", y="times", series=(series,), log_y=log_y)


@pytest.mark.parametrize(
    ("count", "scales"), [(5, ("linear", "log")), (6, ("log", "linear"))]
)
def test_values_are_logarithmic_along_the_bars(
    count: int, scales: tuple[str, str]
) -> None:
    axes = Figure().subplots()
    _fill(axes, chart(count))
    assert (axes.get_xscale(), axes.get_yscale()) == scales


def test_many_bars_get_the_height_that_they_need() -> None:
    assert _inches(chart(5)) == _inches(chart(6))
    many = Series(label="times", xs=NAMES * 5, ys=[1.0] * 60)
    assert _inches(Chart(title="", x="", y="", series=(many,)))[1] > 10


def test_a_comparison_is_one_block_a_row_with_every_side_in_it() -> None:
    (made,) = choose(["torture"])
    cells = (Cell(text="0 lost", met=True), Cell(text="<all>", met=False))
    comparison = Comparison(
        title="both", sides=("ours", "theirs"), rows=(("killed", "none lost", cells),)
    )
    finding = Finding(measured="", verdict="reproduced", comparisons=(comparison,))
    result = Result(experiment=made, finding=finding, seconds=1.0, form=Form.WHOLE)
    html = page([result], where={})
    assert "<td>ours<td>0 lost<td><span class=good>passed</span>" in html
    assert "<td>theirs<td>&lt;all&gt;<td><span class=bad>not passed</span>" in html


def test_a_table_has_a_head_that_paper_repeats() -> None:
    (made,) = choose(["http"])
    row = Row(work="w", reference="r", bar="b", measured="m", met=True)
    table = Table(title="bars", rows=(row,))
    finding = Finding(measured="", verdict="reproduced", tables=(table,))
    result = Result(experiment=made, finding=finding, seconds=1.0, form=Form.WHOLE)
    html = page([result], where={})
    head = "<thead><tr><th>work<th>reference<th>bar<th>measured<th>met</tr></thead>"
    assert f"<caption>bars</caption>{head}<tr>" in html
