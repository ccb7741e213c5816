"""What an experiment is, and what it brings back: plain data, typed.

::

    Experiment ──run──> Finding          both together: Result
                        ├── broken, right: Way
                        ├── figures: Figure ...
                        ├── tables: Table ── rows: Row ...
                        ├── comparisons: Comparison ── rows: Cell ...
                        └── charts: Chart ── series: Series ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from labs._form import Form

Kind = Literal["bar", "line", "scatter"]
Verdict = Literal["reproduced", "not reproduced", "better"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number, with its unit and spread, beside what was claimed.

    Args:
        name: what was measured.
        value: the figure itself; the median, where there were several runs.
        unit: MiB, s, 1/s, x, %; empty for a count.
        low: the least of the runs; None for a single exact count.
        high: the greatest of the runs.
        claimed: the figure claimed for it, in the same unit.
    """

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    claimed: float | None = None

    def text(self) -> str:
        """Write the value, its spread and its unit."""
        text = number(self.value)
        if self.low is not None and self.high is not None and self.low != self.high:
            text += f" ({number(self.low)} to {number(self.high)})"
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bar of a benchmark: what was asked, what came out.

    Args:
        work: the work measured.
        reference: what it is measured against, with its figure.
        bar: what was to be reached.
        measured: what was.
        met: whether the bar was reached; None where a row only informs.
    """

    work: str
    reference: str
    bar: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under one title."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was seen of one side in one row; *met* is None where nothing was."""

    text: str
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several sides under the same trials, judged by the same rules.

    Args:
        title: what is compared.
        sides: their names, ours first.
        rows: for each trial its name, the rule, and a cell for each side.
    """

    title: str
    sides: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...]], ...]

    def __post_init__(self) -> None:
        """Refuse a row that does not have a cell for each side."""
        if any(len(cells) != len(self.sides) for _, _, cells in self.rows):
            raise ValueError(f"comparison {self.title!r}: a row with a cell too few")

    def passed(self, side: int) -> int:
        """Count the rows that one side passed."""
        return sum(cells[side].met is True for _, _, cells in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one thing in a chart.

    Args:
        label: its name in the legend.
        xs: numbers, or the names of bars.
        ys: one number for each x.
        lows: the lower end of each point's spread, or empty.
        highs: the upper end of each point's spread, or empty.
        model: whether it is a law or a claim (drawn dashed), not a measurement.
    """

    label: str
    xs: Sequence[float] | Sequence[str]
    ys: Sequence[float]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()
    model: bool = False

    def __post_init__(self) -> None:
        """Refuse series whose parts differ in length."""
        lengths = {len(self.xs), len(self.ys)}
        lengths |= {len(part) for part in (self.lows, self.highs) if part}
        if len(lengths) != 1:
            raise ValueError(f"series {self.label!r}: parts of lengths {lengths}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What to draw, as data; matplotlib sees it only when it is drawn."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    kind: Kind = "bar"
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of doing the work: what it is, and the code that matters."""

    name: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one run of an experiment measured.

    Args:
        measured: the measurement in one line, to stand beside the claim.
        verdict: what it says of the claim.
        broken: the way that fails; None for a benchmark.
        right: the way of the platform; None for a benchmark.
        figures: every number, with unit and spread.
        tables: the bars of a benchmark.
        comparisons: the sides of a benchmark, row by row.
        charts: what to draw; the first one stands for the experiment.
        notes: what a reader has to know of this very run.
    """

    measured: str
    verdict: Verdict
    broken: Way | None = None
    right: Way | None = None
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A question, what is claimed about it, and the function that measures it.

    Args:
        id: its number ("1.1") or name ("readers"), unique.
        title: a few words.
        question: what we want to know.
        hypothesis: what we expect, and why.
        claim: the figure or behaviour claimed beforehand, with its unit.
        explanation: why it comes out so.
        production: what it means for a running system, and which part acts on it.
        run: measures; given the form, and, where there are parts, the names of those
            to run.
        parts: names of what can be run alone; empty where it is all one.
        brief: what is smaller in the brief form; empty where there is none.
    """

    id: str
    title: str
    question: str
    hypothesis: str
    claim: str
    explanation: str
    production: str
    run: Callable[..., Finding]
    parts: tuple[str, ...] = ()
    brief: str = ""

    def nearest(self, form: Form) -> Form:
        """Give the form it is run in when asked for *form*: brief ones are few."""
        return Form.WHOLE if form is Form.BRIEF and not self.brief else form


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An experiment with what one run of it found.

    Args:
        experiment: what was asked.
        finding: what came out.
        seconds: how long it took.
        form: how much of it was run.
    """

    experiment: Experiment
    finding: Finding
    seconds: float
    form: Form

    @property
    def measured(self) -> str:
        """What came out, marked where it came from a brief form."""
        mark = " (brief form)" if self.form is Form.BRIEF else ""
        return f"{self.finding.measured}{mark}"

    @property
    def shortened(self) -> str:
        """Say what was smaller than the claim's sizes; empty for the whole form."""
        made = self.experiment
        return {
            Form.QUICK: "Quick form: small sizes, for tests.",
            Form.BRIEF: f"Brief form: {made.brief} The whole: labs run {made.id}",
            Form.WHOLE: "",
        }[self.form]

    def summary(self) -> dict[str, str]:
        """Give the five fields that ``labs run --json`` prints."""
        return {
            "id": self.experiment.id,
            "title": self.experiment.title,
            "claim": self.experiment.claim,
            "measured": self.measured,
            "verdict": self.finding.verdict,
        }


def number(value: float) -> str:
    """Write a number with as many digits as a reader can use.

    >>> number(381.4629), number(1234567), number(0.00009918), number(12.0)
    ('381', '1,234,567', '0.0000992', '12')
    """
    if value == int(value) or abs(value) >= 1000:  # noqa: PLR2004  # no fraction worth reading
        return f"{value:,.0f}"
    return format(Decimal(f"{value:.3g}"), "f")


def verdict_of(rows: Sequence[Row]) -> Verdict:
    """Judge a benchmark by its rows: reproduced when no bar was missed.

    Raises:
        ValueError: no row has a bar, so nothing was judged.
    """
    judged = [row.met for row in rows if row.met is not None]
    if not judged:
        raise ValueError("no row was measured against a bar")
    return "reproduced" if all(judged) else "not reproduced"


def verdict_of_cells(cells: Sequence[Cell]) -> Verdict:
    """Judge one side of a comparison: reproduced when it passed every row."""
    return "reproduced" if all(cell.met for cell in cells) else "not reproduced"


def compare(
    measured: float,
    *,
    claimed: float,
    tolerance: float,
    good: Literal["lower", "higher", "equal"] = "equal",
) -> Verdict:
    """Judge a figure against the claimed one.

    Args:
        measured: what came out.
        claimed: what was claimed, in the same unit.
        tolerance: how far it may lie from the claim, as a share of it.
        good: which side of the claim is better; "equal" when neither is.

    >>> compare(380, claimed=381.46, tolerance=0.02)
    'reproduced'
    >>> compare(98, claimed=57.4, tolerance=0.1, good="higher")
    'better'
    >>> compare(98, claimed=57.4, tolerance=0.1, good="lower")
    'not reproduced'
    """
    if abs(measured - claimed) <= tolerance * abs(claimed):
        return "reproduced"
    side = "higher" if measured > claimed else "lower"
    return "better" if side == good else "not reproduced"


def worst(*verdicts: Verdict) -> Verdict:
    """Join the verdicts of several figures: the least good one stands.

    >>> worst("better", "reproduced")
    'reproduced'
    """
    order: tuple[Verdict, ...] = ("not reproduced", "reproduced", "better")
    return min(verdicts, key=order.index)
