"""A server that fails: now and then, all at once, silently, or for one text."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs._form import Form
from labs._measure import MIB, scratch
from labs._result import Row, number
from labs.experiments.ingest._client import (
    SAME_WORK,
    Run,
    aip,
    run,
    script,
    serving,
    slack,
)
from labs.experiments.ingest._corpus import (
    POISON,
    Corpus,
    write_corpus,
    write_short,
)
from labs.experiments.ingest._cost import check
from labs.experiments.ingest._server import FAULTS, Switches
from labs.experiments.ingest._stored import Harm, harm

FAULT_RATE, SEEDS = 0.12, 10
OUTAGE_AT_S, OUTAGE_S, OUTAGE_SLOTS = 2.0, 5.0, 4
LATE_BAR_S, DARK_BAR = 4.0, 40
HANG_EVERY, HANG_BAR_S = 100, 15.0
POISONED, DEAD_LETTERS = 7, 3
GIVE_UP_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run of our side did, what the server saw, what the store holds."""

    done: Run
    seen: dict[str, Any]
    harm: Harm


def outcome(corpus: Corpus, switches: Switches, *options: str) -> Outcome:
    """Run our side, its texts uncut, on a store of its own."""
    with scratch() as folder, serving(switches) as server:
        database = folder / "store.db"
        where = corpus.path, database, server.url
        done = run(aip(*where, *SAME_WORK, *options), folder, timeout_s=GIVE_UP_S)
        return Outcome(done=done, seen=server.stats(), harm=harm(database, corpus))


def faults(form: Form) -> tuple[Row, ...]:
    """Fail in four ways, mixed, at many seeds."""
    total, failed, codes = Harm(), 0, set()
    with scratch() as folder:
        path, seeds = folder / "corpus.jsonl", form.pick(quick=1, brief=4, whole=SEEDS)
        n_bytes = form.pick(quick=MIB, whole=10_000_000)
        corpus = write_corpus(path, n_bytes=n_bytes)
        for seed in range(seeds):
            # Small batches: more requests, so more of them fail.
            switches = Switches(fault_rate=FAULT_RATE, seed=seed)
            found = outcome(corpus, switches, "--batch-size", "16")
            total += found.harm
            codes.add(found.done.code)
            failed += sum(found.seen["outcomes"].get(name, 0) for name in FAULTS)
    return (
        Row(
            work=f"{FAULT_RATE:.0%} mixed faults, {seeds} seeds",
            reference=f"{failed} requests failed",
            bar=f"{Harm()}, exit 0",
            measured=f"{total}, exit {_listed(codes)}",
            met=failed > 0 and not total and codes == {0},
        ),
    )


def outage(form: Form) -> tuple[Row, ...]:
    """Cut everything off for a while; the server's slots say how long it should be."""
    lasts_s = form.pick(quick=0.5, whole=OUTAGE_S)
    start_s = form.pick(quick=0.15, whole=OUTAGE_AT_S)
    slots = form.pick(quick=1, whole=OUTAGE_SLOTS)
    n_bytes = form.pick(quick=MIB, whole=50_000_000)
    dark_for = Switches(slots=slots, outage_at_s=start_s, outage_s=lasts_s)
    with scratch() as folder:
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=n_bytes)
        calm_s = _calm_s(corpus, slots, form)
        dark = outcome(corpus, dark_for)
    return (
        _lateness(dark, calm_s, lasts_s, bar_s=LATE_BAR_S * slack(form)),
        _knocks(dark, bar=DARK_BAR * slack(form)),
    )


def _calm_s(corpus: Corpus, slots: int, form: Form) -> float:
    """Give the seconds that a run takes without an outage."""
    if form is Form.QUICK:
        # The quick form takes its own start for lateness: one run less.
        return math.ceil(corpus.texts / 64) * Switches().latency_s / slots
    calm = outcome(corpus, Switches(slots=slots))
    check(calm.done)
    return calm.done.wall_s


def _lateness(dark: Outcome, calm_s: float, lasts_s: float, *, bar_s: float) -> Row:
    late_s = dark.done.wall_s - calm_s - lasts_s
    sound = dark.seen["after_outage_s"] > 0 and not dark.harm and dark.done.code == 0
    return Row(
        work=f"{lasts_s:g} s outage: s later than {calm_s:.1f} + it",
        reference="-",
        bar=f"<= {bar_s:g} s, {Harm()}, exit 0",
        measured=f"{late_s:.1f} s, {dark.harm}, exit {dark.done.code}",
        met=sound and late_s <= bar_s,
    )


def _knocks(dark: Outcome, *, bar: float) -> Row:
    knocks = dark.seen["outcomes"].get("dark", 0)
    return Row(
        work="requests sent into the outage",
        reference="-",
        bar=f"<= {bar:g}",
        measured=number(knocks),
        met=knocks <= bar,
    )


def hangs(form: Form) -> tuple[Row, ...]:
    """Never answer one request in a hundred; everything on."""
    work = "1 % hung requests, 10 MB"
    if form is Form.QUICK:
        said = "not run: too few requests for one to hang"
        return (Row(work=work, reference="", bar="", measured=said, met=None),)
    with scratch() as folder:
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=10_000_000)
        seconds, hung = _hung(corpus)
        theirs = "not run"
        if form is Form.WHOLE:
            theirs = f"{_hung(corpus, ours=False)[0]:.1f} s"
    return (
        Row(
            work=f"{work}: {hung} hung",
            reference=theirs,
            bar=f"<= {HANG_BAR_S:g} s",
            measured=f"{seconds:.1f} s",
            met=hung > 0 and seconds <= HANG_BAR_S,
        ),
    )


def _hung(corpus: Corpus, *, ours: bool = True) -> tuple[float, int]:
    """Give the seconds one side took, and how many requests hung."""
    with scratch() as folder, serving(Switches(hang_every=HANG_EVERY)) as server:
        where = corpus.path, folder / "store.db", server.url
        command = aip(*where) if ours else script(*where, size=1000)
        done = run(command, folder, timeout_s=GIVE_UP_S)
        check(done)
        return done.wall_s, server.stats()["outcomes"].get("hang", 0)


def poison(form: Form) -> tuple[Row, ...]:
    """Refuse seven texts for good, and with them every batch they are in."""
    texts = form.pick(quick=2000, whole=100_000)
    with scratch() as folder, serving() as server:
        corpus = write_short(folder / "c.jsonl", texts=texts, poison=POISONED)
        database = folder / "store.db"
        done = run(aip(corpus.path, database, server.url, *SAME_WORK), folder)
        check(done, code=DEAD_LETTERS)
        requests, found = server.stats()["requests"], harm(database, corpus)
        buried = _dead_letters(database, folder)
        sound = sum(_is_poison(letter, corpus.path) for letter in buried)
    told = done.told
    return (
        Row(
            work=f"{POISONED} poison texts in {texts:,}, {requests:,} requests",
            reference="the script ends at the first",
            bar=f"{texts - POISONED:,} stored, {POISONED} dead with span and reason, "
            f"exit {DEAD_LETTERS}",
            measured=f"{told['stored']:,} stored, {sound} dead with span and reason "
            f"({found}), exit {done.code}",
            met=told["stored"] == texts - POISONED
            and sound == len(buried) == POISONED
            and not found,
        ),
    )


def _dead_letters(database: Path, folder: Path) -> list[dict[str, Any]]:
    where = "--store", f"sqlite:///{database}", "--json"
    command = [sys.executable, "-m", "aip_pipeline", "dead", "list", *where]
    done = run(command, folder)
    check(done)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _is_poison(letter: dict[str, Any], path: Path) -> bool:
    """Tell whether a dead letter names its bytes and the server's reason."""
    raw = path.read_bytes()[letter["start"] : letter["end"]]
    return POISON.encode() in raw and "cannot take" in letter["reason"]


def _listed(codes: set[int]) -> str:
    return ", ".join(map(str, sorted(codes)))
