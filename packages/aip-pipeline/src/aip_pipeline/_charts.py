"""Line charts as inline SVG: no script, no font, no colour of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

WIDTH: Final = 360
HEIGHT: Final = 170
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 22
MAX_TIME_STEPS: Final = 6
SMALLEST: Final = 1e-9  # below this a line is drawn flat
PLAIN_UP_TO: Final = 120  # seconds before minutes are written, minutes before hours
_TIME_STEPS_S: Final = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14_400, 28_800, 86_400),
)


class Line(NamedTuple):
    """Hold one line of a chart: its name, and its points as seconds and value."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(
    title: str, lines: Sequence[Line], *, write: Callable[[float], str], note: str = ""
) -> str:
    """Draw at most two lines over time as an HTML figure.

    Args:
        title: what is plotted, with its unit.
        lines: the lines; the first is drawn over the second.
        write: writes a value for the axis and the caption.
        note: a sentence put below the title.
    """
    drawn = [line for line in lines if len(line.points) > 1]
    if not drawn:
        picture = '<p class="none">The run was too short to plot.</p>'
    else:
        picture = _picture(title, drawn, write)
    legend = ""
    if len(drawn) > 1:
        keys = (f'<span class="s{n}">{escape(o.name)}</span>' for n, o in _each(drawn))
        legend = f'<div class="legend">{" ".join(keys)}</div>'
    said = f"<small>{escape(note)}</small>" if note else ""
    caption = f"<figcaption>{escape(title)} {said}{legend}</figcaption>"
    return f"<figure>{caption}{picture}</figure>"


def _each(lines: Sequence[Line]) -> list[tuple[int, Line]]:
    return list(enumerate(lines, start=1))


def _picture(title: str, lines: Sequence[Line], write: Callable[[float], str]) -> str:
    end_s = max(line.points[-1][0] for line in lines) or 1.0
    ticks = value_ticks(max(value for line in lines for _, value in line.points))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(at_s: float) -> float:
        return LEFT + (right - LEFT) * at_s / end_s

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / ticks[-1]

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    ]
    for tick in ticks:
        at = f"{y(tick):.1f}"
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{right}"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{at}" dy=".32em" class="end">'
            f"{escape(write(tick))}</text>"
        )
    parts.extend(
        f'<text x="{x(at_s):.1f}" y="{HEIGHT - 6}" class="middle">{clock(at_s)}</text>'
        for at_s in time_ticks(end_s)
    )
    for number, line in reversed(_each(lines)):
        path = "L".join(f"{x(at_s):.1f} {y(v):.1f}" for at_s, v in line.points)
        parts.append(f'<path class="line s{number}" d="M{path}"/>')
    return "".join([*parts, "</svg>"])


def value_ticks(highest: float) -> list[float]:
    """Return round values from 0 to at least *highest*, in steps of 1, 2 or 5.

    >>> value_ticks(37)
    [0.0, 10.0, 20.0, 30.0, 40.0]
    """
    if highest < SMALLEST:
        return [0.0, 1.0]
    rough = highest / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    return [step * n for n in range(ceil(highest / step - 1e-9) + 1)]


def time_ticks(end_s: float) -> list[float]:
    """Return at most seven round times from 0 to *end_s*.

    >>> time_ticks(90)
    [0, 15, 30, 45, 60, 75, 90]
    """
    longest = ceil(end_s / MAX_TIME_STEPS)
    step = next((s for s in _TIME_STEPS_S if end_s / s <= MAX_TIME_STEPS), longest)
    return [round(step * n, 3) for n in range(floor(end_s / step) + 1)]


def clock(seconds: float) -> str:
    """Write a time since the start.

    >>> [clock(0.5), clock(90), clock(150), clock(7260)]
    ['0.5 s', '90 s', '2:30', '2:01 h']
    """
    if seconds < PLAIN_UP_TO:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < PLAIN_UP_TO:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02} h"


def short(value: float) -> str:
    """Write a number in few characters.

    >>> [short(0), short(0.25), short(950), short(12_300), short(4e6)]
    ['0', '0.25', '950', '12.3k', '4M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
