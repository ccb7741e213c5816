"""Lab torture: the failures of the leaders, and what each of them does there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from labs._environment import NoEnvironment
from labs._form import Form
from labs._measure import scratch
from labs._registry import experiment
from labs._result import Cell, Chart, Comparison, Finding, Series, verdict_of_cells
from labs.experiments.torture._sides import OURS, PEERS, Bench, Side
from labs.experiments.torture._torments import TORMENTS, Rack

PASSAGES, QUICK_PASSAGES = 1000, 500
AT_ONCE = 2
PARTS = {side.part: side for side in (OURS, *PEERS)}
# The side that waits longest starts at once, beside ours.
BRIEF_PARTS = OURS.part, "llamaindex", "langchain-full", "cookbook"


@experiment(
    "torture",
    title="The failures of the leaders",
    question="What does an ingest do when run again, starved, killed or fed junk?",
    hypothesis=(
        "What is remembered, what is stored and what is paid for must change in one "
        "transaction; where they live apart, each failure finds the gap between them."
    ),
    claim="ours passes every torment; the rules are the same for every side",
    explanation="""
        Every side embeds the same thousand numbered passages, 900 in one file and 100
        in files of their own, through the same loopback server, in batches of ten, as
        a process in an environment of its own. It is judged by what the server was
        asked for, by what its store holds afterwards, and by how it ended: never by
        what it says of itself, except that naming a damaged file counts as telling.
        Peers are set up as their documentation shows; what a careful engineer would
        add around them is not there.""",
    production="""
        Before you trust a pipeline with a bill: run it twice and count the requests,
        kill it half-way, empty its store, let the server fail, and look at the exit
        code each time.""",
    parts=tuple(PARTS),
    brief=f"{len(BRIEF_PARTS)} sides of {len(PARTS)}.",
)
def lab(form: Form, only: Sequence[str] = ()) -> Finding:
    """Torment every side; in the quick form only ours, which is judged."""
    chosen = only or form.pick(
        quick=(OURS.part,), brief=BRIEF_PARTS, whole=tuple(PARTS)
    )
    sides = [PARTS[part] for part in dict.fromkeys([OURS.part, *chosen])]
    passages = form.pick(quick=QUICK_PASSAGES, whole=PASSAGES)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        columns = list(pool.map(lambda side: torment(side, passages=passages), sides))
    comparison = Comparison(
        title=f"{passages:,} passages, {len(TORMENTS)} torments",
        sides=tuple(side.name for side in sides),
        rows=tuple(
            (each.name, each.bar, tuple(cells[at] for cells, _ in columns))
            for at, each in enumerate(TORMENTS)
        ),
    )
    passed = [comparison.passed(at) for at in range(len(sides))]
    told = (f"{side.name} {n}" for side, n in zip(sides, passed, strict=True))
    return Finding(
        measured=f"passed of {len(TORMENTS)}: {', '.join(told)}",
        verdict=verdict_of_cells([cells[0] for _, _, cells in comparison.rows]),
        comparisons=(comparison,),
        charts=(_chart(comparison.sides, passed),),
        notes=tuple(note for _, note in columns),
    )


def torment(side: Side, *, passages: int) -> tuple[list[Cell], str]:
    """Give one side's cells, and its versions or why there are none."""
    try:
        bench = Bench(side)
        with scratch() as folder:
            rack = Rack(bench, folder, passages=passages)
            trials = rack.trials()
            held = bench.held({trial.state for trial in trials})
            cells = [
                each.cell(trial, held[trial.state])
                for each, trial in zip(TORMENTS, trials, strict=True)
            ]
            return cells, f"{side.name}: {bench.version()}"
    except (NoEnvironment, RuntimeError) as error:
        if side is OURS:
            raise
        missing = Cell(text="not measured", met=None)
        return [missing] * len(TORMENTS), f"{side.name} was not measured: {error}"


def _chart(sides: Sequence[str], passed: Sequence[int]) -> Chart:
    series = Series(label="passed", xs=sides, ys=passed)
    title = f"Torments passed, of {len(TORMENTS)}"
    return Chart(title=title, x="side", y="passed", series=(series,))
