"""What a chunk costs: processor time, wall time and requests, beside the script."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from labs._form import Form
from labs._measure import MIB, Spread, scratch, spread
from labs._result import Row, number
from labs.experiments.ingest._client import (
    IN_FLIGHT,
    SAME_WORK,
    UNCUT,
    Run,
    Server,
    aip,
    lawful,
    run,
    script,
    serving,
    slack,
)
from labs.experiments.ingest._corpus import Corpus, write_corpus

Side: TypeAlias = Callable[[Server, Path], list[str]]

ROUNDS = 3
BATCH = 64
CUT = 1000  # characters, the default of both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run cost.

    Args:
        cpu_s: processor time for 10,000 chunks.
        per_s: chunks a second, from the start of the process to its end.
        first_s: from the start of the process to the first request.
        requests: sent, all of them.
        texts: embedded, each once.
    """

    cpu_s: float
    per_s: float
    first_s: float
    requests: int
    texts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One amount of work, done by both sides.

    Args:
        name: what it is called.
        size: characters at which the script cuts.
        options: of our side.
        cpu_bar: our processor time over the script's may be so much.
        speed_bar: our chunks a second over the script's must be so much.
    """

    name: str
    size: int
    options: tuple[str, ...]
    cpu_bar: float
    speed_bar: float


WORKS = (
    Work(name="same work", size=UNCUT, options=SAME_WORK, cpu_bar=1.0, speed_bar=1.0),
    Work(name="everything on", size=CUT, options=(), cpu_bar=3.0, speed_bar=0.6),
)
REQUESTS_BAR, FIRST_BAR_S = 1.02, 0.5


def cost(form: Form) -> tuple[Row, ...]:
    """Let both sides take turns on both works; the order swaps each round."""
    with scratch() as folder:
        n_bytes = form.pick(quick=MIB // 4, whole=100_000_000)
        rounds = form.pick(quick=1, whole=ROUNDS)
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=n_bytes)
        rows: list[Row] = []
        for work in WORKS:
            found = _turns(_sides(work, corpus, form), folder, rounds=rounds)
            rows += compared(work, found["ours"], found["theirs"], form=form)
            if "floor" in found:
                rows += _floor(work, found["floor"], found["theirs"])
        return tuple(rows)


def _sides(work: Work, corpus: Corpus, form: Form) -> dict[str, Side]:
    """Give who takes turns at a work; at the script's also the floor."""
    sides: dict[str, Side] = {
        "ours": lambda server, database: aip(
            corpus.path, database, server.url, *work.options, concurrency=IN_FLIGHT
        ),
        "theirs": lambda server, database: script(
            corpus.path, database, server.url, size=work.size
        ),
    }
    if work.size == UNCUT and form is not Form.QUICK:
        sides["floor"] = lambda server, database: lawful(
            corpus.path, database, server.url
        )
    return sides


def _turns(
    sides: dict[str, Side], folder: Path, *, rounds: int
) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides) if turn % 2 else reversed(sides):
            found[name].append(_once(sides[name], folder))
    return found


def _floor(work: Work, floor: list[Cost], theirs: list[Cost]) -> list[Row]:
    """Say what the script costs that keeps the laws: no bar below it can be met."""
    cpu, speed = _ratios(floor, theirs)
    name = f"{work.name}: the floor, a script that pays once and stores spans"
    return [
        Row(
            work=name,
            reference="the script",
            bar="none: a floor",
            measured=f"CPU {text(cpu)} x, chunks a second {text(speed)} x",
            met=None,
        )
    ]


def _ratios(ours: list[Cost], theirs: list[Cost]) -> tuple[Spread, Spread]:
    """Give processor time and speed over the script's, turn by turn."""
    pairs = list(zip(ours, theirs, strict=True))
    cpu = spread([our.cpu_s / their.cpu_s for our, their in pairs])
    speed = spread([our.per_s / their.per_s for our, their in pairs])
    return cpu, speed


def _once(side: Side, folder: Path) -> Cost:
    database = folder / "store.db"
    with serving() as server:
        done = run(side(server, database), folder)
        seen = server.stats()
    for each in folder.glob("store.db*"):
        each.unlink()
    check(done)
    texts = seen["distinct"]
    return Cost(
        cpu_s=1e4 * done.cpu_s / texts,
        per_s=texts / done.wall_s,
        first_s=seen["first_s"] - done.started_s,
        requests=seen["requests"],
        texts=texts,
    )


def check(done: Run, *, code: int = 0) -> None:
    """Refuse to measure a run that did not do its work.

    Raises:
        RuntimeError: it ended with another exit code.
    """
    if done.code != code:
        said = (done.stderr.strip() or "nothing")[-300:]
        raise RuntimeError(f"a run ended with {done.code}, not {code}: it said {said}")


def compared(
    work: Work, ours: list[Cost], theirs: list[Cost], *, form: Form
) -> list[Row]:
    """Judge what both sides cost."""
    wide = slack(form)
    return [
        *_beside_the_script(work, ours, theirs, wide=wide),
        _requests(work, ours, theirs),
        _first_request(work, ours, theirs, wide=wide),
    ]


def _beside_the_script(
    work: Work, ours: list[Cost], theirs: list[Cost], *, wide: float
) -> tuple[Row, Row]:
    cpu, speed = _ratios(ours, theirs)
    cpu_bar, speed_bar = work.cpu_bar * wide, work.speed_bar / wide
    return (
        Row(
            work=f"{work.name}: CPU s per 10,000 chunks",
            reference=_figures([their.cpu_s for their in theirs]),
            bar=f"<= {cpu_bar:g} x",
            measured=f"{text(cpu)} x: {_figures([our.cpu_s for our in ours])}",
            met=cpu.median <= cpu_bar,
        ),
        Row(
            work=f"{work.name}: chunks a second",
            reference=_figures([their.per_s for their in theirs]),
            bar=f">= {speed_bar:g} x",
            measured=f"{text(speed)} x: {_figures([our.per_s for our in ours])}",
            met=speed.median >= speed_bar,
        ),
    )


def _requests(work: Work, ours: list[Cost], theirs: list[Cost]) -> Row:
    needed = math.ceil(ours[0].texts / BATCH)
    sent = max(our.requests for our in ours)
    return Row(
        work=f"{work.name}: requests / ceil(chunks / 64)",
        reference=f"{theirs[0].requests / math.ceil(theirs[0].texts / BATCH):.3f}",
        bar=f"<= {REQUESTS_BAR}",
        measured=f"{sent / needed:.3f}: {sent} for {needed}",
        met=sent <= math.ceil(REQUESTS_BAR * needed),
    )


def _first_request(
    work: Work, ours: list[Cost], theirs: list[Cost], *, wide: float
) -> Row:
    first, bar_s = spread([our.first_s for our in ours]), FIRST_BAR_S * wide
    return Row(
        work=f"{work.name}: s from start to first request",
        reference=_figures([their.first_s for their in theirs]),
        bar=f"<= {bar_s:g}",
        measured=text(first),
        met=first.median <= bar_s,
    )


def text(figure: Spread) -> str:
    """Write a median with the ends of its spread."""
    if figure.runs == 1:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)} to {number(figure.high)})"


def _figures(values: list[float]) -> str:
    return text(spread(values))
