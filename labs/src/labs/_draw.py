"""Drawing a chart; matplotlib is imported here, and only when one is drawn."""

from __future__ import annotations

import io
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from labs._result import Chart, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

# Okabe and Ito's palette: told apart by readers who do not see red and green.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MODEL_COLOUR = "#888888"
INCHES = 6.0, 4.0  # small: the text is read on a phone
BAR_INCHES = 0.16  # room for one bar that lies down, and its figure
NAME_CHARS = 36  # a longer name is broken into lines
MOST_NAMES = 5  # bars side by side; more lie one under the other
STYLE: dict[RcKeyType, object] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "aip-labs",
}


def save_png(chart: Chart, path: Path) -> None:
    """Draw a chart into a PNG file."""
    _draw(chart, path, kind="png")


def svg(chart: Chart) -> str:
    """Draw a chart as an SVG element to stand inside a page."""
    into = io.StringIO()
    _draw(chart, into, kind="svg")
    text = into.getvalue()
    return text[text.index("<svg") :]


def _draw(chart: Chart, into: Path | io.StringIO, *, kind: str) -> None:
    import matplotlib as mpl  # noqa: PLC0415  # half a second: paid when drawing
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415

    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=_inches(chart), layout="constrained")
        FigureCanvasAgg(canvas)
        _fill(canvas.subplots(), chart)
        if len(chart.series) > 1:
            canvas.legend(loc="outside upper left", ncols=3, frameon=False)
        metadata = {"Date": None} if kind == "svg" else {}
        canvas.savefig(into, format=kind, dpi=150, metadata=metadata)


def _inches(chart: Chart) -> tuple[float, float]:
    """Give width and height; bars that lie down need a height of their own."""
    width, height = INCHES
    if _lies_down(chart):
        bars = sum(len(series.xs) for series in chart.series)
        height = max(height, BAR_INCHES * bars + 1.5)
    return width, height


def _lies_down(chart: Chart) -> bool:
    """Tell whether the names of bars would not stand side by side."""
    names = max(len(series.xs) for series in chart.series)
    return chart.kind == "bar" and names > MOST_NAMES


def _fill(axes: Axes, chart: Chart) -> None:
    wide = _lies_down(chart)
    for place, series in enumerate(chart.series):
        colour = MODEL_COLOUR if series.model else COLOURS[place % len(COLOURS)]
        if chart.kind == "bar":
            width = 0.8 / len(chart.series)
            offset = (place - (len(chart.series) - 1) / 2) * width
            _bars(axes, series, offset=offset, width=width, colour=colour, wide=wide)
        else:
            _points(axes, series, joined=chart.kind == "line", colour=colour)
    x, y = (chart.y, chart.x) if wide else (chart.x, chart.y)
    axes.set(title=chart.title, xlabel=x, ylabel=y)
    # Bars that lie down have their values along the other axis.
    log_x, log_y = (chart.log_y, chart.log_x) if wide else (chart.log_x, chart.log_y)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    if wide:
        axes.invert_yaxis()
        left, right = axes.get_xlim()
        axes.set_xlim(left=left if log_x else 0, right=right * (2 if log_x else 1.05))
        axes.grid(visible=False, axis="y")
    elif not log_y:
        axes.set_ylim(bottom=0)


def _bars(
    axes: Axes, series: Series, *, offset: float, width: float, colour: str, wide: bool
) -> None:
    at = [i + offset for i in range(len(series.xs))]
    names = [str(x) for x in series.xs]
    look: dict[str, Any] = {
        "label": series.label,
        "color": "white" if series.model else colour,
        "edgecolor": colour,
        "hatch": "///" if series.model else None,
        "capsize": 3,
    }
    if wide:
        names = [fill(name, NAME_CHARS) for name in names]
        drawn = axes.barh(at, series.ys, width * 0.95, xerr=_ends(series), **look)
        axes.set_yticks(range(len(names)), names, fontsize=7.5)
    else:
        drawn = axes.bar(at, series.ys, width * 0.95, yerr=_ends(series), **look)
        axes.set_xticks(range(len(names)), names)
    axes.bar_label(drawn, fmt="{:.4g}", padding=2, fontsize=8)


def _points(axes: Axes, series: Series, *, joined: bool, colour: str) -> None:
    line = ("--" if series.model else "-") if joined else "none"
    axes.errorbar(
        [float(x) for x in series.xs],
        series.ys,
        yerr=_ends(series),
        label=series.label,
        color=colour,
        linestyle=line,
        marker="" if series.model else "o",
        markersize=4,
        capsize=3,
    )


def _ends(series: Series) -> tuple[list[float], list[float]] | None:
    """Give how far each point's spread reaches down and up."""
    if not series.lows:
        return None
    down = [y - low for y, low in zip(series.ys, series.lows, strict=True)]
    up = [high - y for y, high in zip(series.ys, series.highs, strict=True)]
    return down, up
