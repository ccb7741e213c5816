"""Lab readers: every bar of aip-readers, beside the peers, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labs import Chart, Finding, Form, Row, Series, Table, experiment, verdict_of


def run_speed(form: Form) -> tuple[Row, ...]:
    """Run the part called speed."""
    from labs.experiments.readers._speed import speed

    return speed(form)


def run_memory(form: Form) -> tuple[Row, ...]:
    """Run the part called memory."""
    from labs.experiments.readers._memory import memory

    return memory(form)


def run_eager(form: Form) -> tuple[Row, ...]:
    """Run the part called eager."""
    from labs.experiments.readers._eager import eager

    return eager(form)


def run_exact(form: Form) -> tuple[Row, ...]:
    """Run the part called exact."""
    from labs.experiments.readers._exact import exact

    return exact(form)


BENCHES: dict[str, Callable[[Form], tuple[Row, ...]]] = {
    "speed": run_speed,
    "memory": run_memory,
    "eager": run_eager,
    "exact": run_exact,
}


@experiment(
    "readers",
    title="The readers beside their peers",
    question="What do spans, ceilings and typed damage cost, and do they hold?",
    hypothesis=(
        "Next to nothing: records are found in bytes a block at a time, and Python "
        "runs once a block, not once a line."
    ),
    claim=(
        "0.95 to 2.5 times the speed of the loops everybody writes, 4 MiB of memory "
        "at any size, identical after any kill"
    ),
    explanation="""
        Speed is the ratio of CPU seconds of fresh processes that take turns, imports
        not counted; memory the peak (VmHWM) of a fresh process over that of a bare
        interpreter, imports counted. Slower peers get a sixteenth of the text, and are
        compared by bytes a second.""",
    production="""
        Where a row is not met, plan with its figure. The extra `fast` is worth its two
        packages for gzip and JSONL.""",
    parts=tuple(BENCHES),
    brief="files of at most 1 GB instead of 10, races over 64 MiB instead of 256.",
)
def lab(form: Form, only: Sequence[str] = ()) -> Finding:
    """Measure every bar, or only those of the named parts."""
    from labs.experiments.readers._bench import peers

    with peers(form):
        tables = [
            Table(title=name, rows=BENCHES[name](form)) for name in (only or BENCHES)
        ]
    rows = [row for table in tables for row in table.rows]
    judged = [row.met for row in rows if row.met is not None]
    return Finding(
        measured=f"{sum(judged)} of {len(judged)} bars met",
        verdict=verdict_of(rows) if judged else "reproduced",
        tables=tuple(tables),
        charts=(_chart(rows),),
    )


def _chart(rows: Sequence[Row]) -> Chart:
    """Draw each race: how many times as fast as its reference."""
    races = [row for row in rows if row.bar.startswith(">=") and row.bar.endswith("x")]
    raced = [row for row in races if row.measured[0].isdigit()]
    names = [f"{row.work} / {row.reference}" for row in raced]
    return Chart(
        title="Speed over the reference",
        x="work / reference",
        y="times as fast",
        log_y=True,
        series=(
            Series(
                label="measured",
                xs=names,
                ys=[
                    float(row.measured.split("x")[0].replace(",", "")) for row in raced
                ],
            ),
            Series(
                label="bar",
                xs=names,
                ys=[float(row.bar[3:-1].replace(",", "")) for row in raced],
                model=True,
            ),
        ),
    )
