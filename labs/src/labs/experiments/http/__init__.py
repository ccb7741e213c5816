"""Lab http: the client beside raw aiohttp and the others, bar by bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labs._form import Form
from labs._registry import experiment
from labs._result import Chart, Finding, Row, Table, verdict_of

Bench = Callable[[Form], tuple[Row | Chart, ...]]


def _bench(module: str, name: str) -> Bench:
    def measure(form: Form) -> tuple[Row | Chart, ...]:
        from importlib import import_module  # imported when it is run

        found: tuple[Row | Chart, ...] = getattr(import_module(module), name)(form)
        return found

    return measure


_HERE = "labs.experiments.http"
BENCHES: dict[str, Bench] = {
    "cpu": _bench(f"{_HERE}._cost", "cpu"),
    "mix": _bench(f"{_HERE}._limits", "fault_mix"),
    "shed": _bench(f"{_HERE}._limits", "shedding"),
    "knee": _bench(f"{_HERE}._limits", "knee"),
    "roomy": _bench(f"{_HERE}._limits", "roomy"),
    "outage": _bench(f"{_HERE}._limits", "outage"),
    "healthy": _bench(f"{_HERE}._limits", "healthy"),
    "race": _bench(f"{_HERE}._many", "race"),
    "million": _bench(f"{_HERE}._many", "million"),
    "cancel": _bench(f"{_HERE}._many", "cancel"),
}


@experiment(
    "http",
    title="Many calls to a server that limits, slows, fails and lies",
    question="Told nothing, does the client find a server's limits and lose no call?",
    hypothesis=(
        "One queue with three controllers gets every call through, near the server's "
        "own speed, at the processor cost of a bare session."
    ),
    claim=(
        "100 % of calls through every kind of trouble, <= 12 % extra requests told "
        "nothing, >= 0.95 of bare aiohttp's processor time"
    ),
    explanation="""
        The servers are processes of their own on loopback; the faults are seeded.
        Ideal is the least time that the server's limits allow. Processor time is
        compared side by side in one process, in turn. The others run in their own
        environment, each set up as its documentation shows: a pool of 100, six
        attempts, jittered backoff.""",
    production="""
        Set attempt_timeout_s to what an answer may take, declare the rate if you know
        it, and give POSTs an idempotency key if the server honours one.""",
    parts=tuple(BENCHES),
    brief=(
        "4 seeds of the fault mix instead of 10, 100,000 calls through map instead of "
        "1,000,000, 5 rounds of processor time instead of 11."
    ),
)
def lab(form: Form, only: Sequence[str] = ()) -> Finding:
    """Measure every bar, or only those of the named benches."""
    found = [each for name in only or BENCHES for each in BENCHES[name](form)]
    rows = [each for each in found if isinstance(each, Row)]
    charts = [each for each in found if isinstance(each, Chart)]
    judged = [row.met for row in rows if row.met is not None]
    return Finding(
        measured=f"{sum(judged)} of {len(judged)} bars met",
        verdict=verdict_of(rows) if judged else "reproduced",
        tables=(Table(title="aip-httpclient, bar by bar", rows=tuple(rows)),),
        charts=tuple(charts),
    )
