"""Lab ingest: `aip ingest` beside the script of an afternoon, bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module

from labs._form import Form
from labs._registry import experiment
from labs._result import Finding, Row, Table, verdict_of

BENCHES = {
    "cost": "_cost",
    "lag": "_lag",
    "memory": "_memory",
    "limit": "_limits",
    "capacity": "_limits",
    "faults": "_faults",
    "outage": "_faults",
    "hangs": "_faults",
    "poison": "_faults",
    "kill": "_killed",
    "again": "_again",
}


def bench(name: str, *, form: Form) -> tuple[Row, ...]:
    """Run one bench: the function of that name in its module, imported only now.

    A run that fails or never ends is a row that is not met; the others still run.
    """
    module = import_module(f"{__name__}.{BENCHES[name]}")
    measure: Callable[[Form], tuple[Row, ...]] = getattr(module, name)
    try:
        return measure(form)
    except (RuntimeError, TimeoutError) as error:
        said = f"it failed: {error}"
        return (Row(work=name, reference="-", bar="it runs", measured=said, met=False),)


@experiment(
    "ingest",
    title="Ingestion against the script of an afternoon",
    question="What do the guarantees of `aip ingest` cost, and do they hold?",
    hypothesis=(
        "Nothing, when it does the script's work: reading, requests and SQLite are "
        "the same. Cleaning and full text cost about as much again."
    ),
    claim=(
        "the script's processor time and speed for the script's work, 80 MiB of "
        "memory at any size, nothing lost, nothing paid for twice"
    ),
    explanation="""
        The script is a hundred lines of aiohttp, a semaphore, a backoff and one SQLite
        table, without cleaning, spans or full text. Both sides read the same file and
        ask the same server, in turn; a figure is what the kernel counted for the whole
        process, its start included.""",
    production="""
        Where a row is not met, the row says by how much: plan with the measured
        figure, not with the bar.""",
    parts=tuple(BENCHES),
    brief=(
        "memory up to 100 MB instead of 1 GB, a limit of tokens over 50 MB instead of "
        "100, a limit of slots over 400 MB instead of 1 GB, 25 kills instead of 200, 4 "
        "seeds of faults instead of 10; the script is "
        "run beside for cost and memory only."
    ),
)
def lab(form: Form, only: Sequence[str] = ()) -> Finding:
    """Measure every bar, or only those of the named benches."""
    # Quick sizes are too small to time: two at once, for what they find.
    with ThreadPoolExecutor(form.pick(quick=2, whole=1)) as pool:
        found = pool.map(partial(bench, form=form), only or BENCHES)
        rows = [row for part in found for row in part]
    judged = [row.met for row in rows if row.met is not None]
    return Finding(
        measured=f"{sum(judged)} of {len(judged)} bars met",
        verdict=verdict_of(rows) if judged else "reproduced",
        tables=(Table(title="aip ingest beside the script", rows=tuple(rows)),),
    )
