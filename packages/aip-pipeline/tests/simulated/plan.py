"""What a seed means: how the server, the disk and the process fail, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulated.disk import DiskFaults

from aip_httpclient.testing import Brownout, Faults, Latency
from aip_pipeline.embedders._translate import CHOKED

MOST_LIVES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process of a schedule, from its start to its end.

    Args:
        disk: what fails below the store.
        crash_at: the step at which it is killed.
        drain_at_s: when it is asked to stop.
        cancel_at_s: when it is told to stop at once.
        max_tokens: its budget.
        edit: whether the corpus changes before it.
    """

    disk: DiskFaults = field(default_factory=DiskFaults)
    crash_at: int | None = None
    drain_at_s: float | None = None
    cancel_at_s: float | None = None
    max_tokens: int | None = None
    edit: bool = False


CALM = Life()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a seed decides.

    Args:
        lives: the processes that are disturbed; an undisturbed one follows.
        faults: what is wrong with the server.
        lies: share of its answers that are not what was asked for.
        base64: whether it knows that format.
        settings: of the run.
    """

    lives: tuple[Life, ...]
    faults: Faults
    lies: float
    base64: bool
    settings: dict[str, Any]


def plan_of(seed: int) -> Plan:
    """Draw a schedule: equal seeds, equal schedules."""
    draw = Random(seed)
    return Plan(
        lives=tuple(_life(draw) for _ in range(draw.randint(1, MOST_LIVES))),
        faults=_faults(draw, seed=seed),
        lies=draw.choice([0, 0, 0.05, 0.2]),
        base64=draw.random() < 0.9,
        settings={
            "batch_size": draw.choice([1, 4, 8, 16]),
            "concurrency": draw.choice(["adaptive", 1, 2, 4]),
            "max_memory_bytes": draw.choice([8, 24, 80]) << 10,
            "fulltext": draw.random() < 0.9,
        },
    )


def _life(draw: Random) -> Life:
    edit = draw.random() < 0.15
    kind = draw.choice(["crash", "crash", "disk", "disk", "sql", "drain", "budget"])
    slow = DiskFaults(commit_s=draw.choice([0, 0, 0.02, 2]))
    when_s = draw.choice([0.1, 1, 10]) * draw.random()
    if kind == "crash":
        return Life(crash_at=int(draw.choice([50, 600]) * draw.random()), edit=edit)
    if kind == "drain":
        later = draw.choice([None, None, when_s + draw.random()])
        return Life(disk=slow, drain_at_s=when_s, cancel_at_s=later, edit=edit)
    if kind == "budget":
        return Life(disk=slow, max_tokens=draw.randint(0, 1500), edit=edit)
    at = 1 + int(draw.choice([30, 250]) * draw.random())
    if kind == "sql":
        killed = DiskFaults(crash_at=at, crash_after=draw.random() < 0.5)
        return Life(disk=killed, edit=edit)
    failing = DiskFaults(
        fail_at=at,
        kind=draw.choice(["full", "io"]),
        times=draw.choice([1, 1000]),
        rolled_back=draw.random() < 0.3,
        after=draw.random() < 0.3,
    )
    return Life(disk=failing, edit=edit)


def _faults(draw: Random, *, seed: int) -> Faults:
    starts = [draw.uniform(0, 5) for _ in range(draw.randint(0, 2))]
    # A text alone in its batch that meets seven 500s in a row, by chance, among others
    # that pass, is taken for poison: so where 500s are random, they are few.
    status = draw.choice([408, 500, 502, 503, 504])
    rate = draw.choice([0, 0.05] if status == CHOKED else [0, 0.05, 0.3])
    return Faults(
        seed=seed,
        latency=Latency(median_s=draw.choice([0.01, 0.1, 1]), sigma=draw.uniform(0, 1)),
        capacity=draw.choice([None, None, 2]),
        overload=draw.choice(["shed", "hang", "slow"]),
        requests_per_window=draw.choice([None, None, 5]),
        throttle_rate=draw.choice([0, 0, 0.2]),
        retry_after_s=draw.choice([None, 0, 3]),
        error_rate=rate,
        error_status=status,
        reset_rate=draw.choice([0, 0.1]),
        reset_after_rate=draw.choice([0, 0.1]),
        hang_rate=draw.choice([0, 0, 0.02]),
        straggler_rate=draw.choice([0, 0.1]),
        brownouts=tuple(_brownout(draw, start_s) for start_s in starts),
    )


def _brownout(draw: Random, start_s: float) -> Brownout:
    status = draw.choice([None, 429, CHOKED, 503])
    return Brownout(
        start_s=start_s,
        end_s=start_s + draw.expovariate(0.2),
        status=status,
        share=1 if status == CHOKED else draw.choice([0.5, 1]),
    )
