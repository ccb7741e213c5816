"""Use of what the server allows: a rate of tokens, and a number of slots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from labs._form import Form
from labs._measure import MIB, scratch
from labs._result import Row
from labs.experiments.ingest._client import (
    SAME_WORK,
    Run,
    aip,
    run,
    saturate,
    script,
    serving,
    slack,
)
from labs.experiments.ingest._corpus import Corpus, write_corpus
from labs.experiments.ingest._cost import check
from labs.experiments.ingest._server import Switches

TOKENS_PER_MIN = 30_000_000
WINDOW_BAR, WHOLE_BAR, REFUSED_BAR, SLOTS_BAR = 0.98, 0.96, 2.0, 0.98
SLOTS, SLOT_S = 16, 0.2
MOST_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How much of a rate one run used.

    Args:
        window: share of it, from the first request to the last answer.
        whole: share of it, from the start of the process to its end.
        refused: answers of 429 for each 100 of 200.
    """

    window: float
    whole: float
    refused: float

    def __str__(self) -> str:
        """Say it in one line."""
        shares = f"{self.window:.1%} in the window, {self.whole:.1%} of the process"
        return f"{shares}, {self.refused:.1f} refused per 100"

    def meets(self, bars: Use) -> bool:
        """Whether all three bars are met."""
        enough = self.window >= bars.window and self.whole >= bars.whole
        return enough and self.refused <= bars.refused


def limit(form: Form) -> tuple[Row, ...]:
    """Meet a limit of tokens a minute, declared or to be found out."""
    per_min = form.pick(quick=TOKENS_PER_MIN // 5, whole=TOKENS_PER_MIN)
    n_bytes = form.pick(quick=MIB // 2, brief=50_000_000, whole=100_000_000)
    with scratch() as folder:
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=n_bytes)
        uses = {"declared": _use(corpus, per_min, "--tpm", str(per_min))}
        reference = "not run"
        if form is not Form.QUICK:  # it takes more requests to learn a limit
            uses["not declared"] = _use(corpus, per_min)
        if form is Form.WHOLE:
            reference = _their_use(corpus, per_min)
    wide = slack(form)
    bars = Use(
        window=WINDOW_BAR / wide, whole=WHOLE_BAR / wide, refused=REFUSED_BAR * wide
    )
    return tuple(
        Row(
            work=f"{per_min / 1e6:g} M tokens a minute, {how}",
            reference=reference,
            bar=f"at least {bars}",
            measured=str(use),
            met=use.meets(bars),
        )
        for how, use in uses.items()
    )


def _their_use(corpus: Corpus, per_min: int) -> str:
    """Say how the script fares; its workers may be refused ten times in a row."""
    try:
        return str(_use(corpus, per_min, ours=False))
    except RuntimeError as error:
        if "gave up" in str(error):
            return "it gave up: refused ten times in a row"
        raise


def _use(corpus: Corpus, per_min: int, *options: str, ours: bool = True) -> Use:
    done, seen = _against(Switches(tokens_per_min=per_min), corpus, *options, ours=ours)
    allowed_per_s = per_min / 60
    outcomes = seen["outcomes"]
    return Use(
        window=seen["tokens"] / (seen["last_s"] - seen["first_s"]) / allowed_per_s,
        whole=seen["tokens"] / done.wall_s / allowed_per_s,
        refused=100 * outcomes.get("429", 0) / outcomes["200"],
    )


def _against(
    switches: Switches, corpus: Corpus, *options: str, ours: bool = True
) -> tuple[Run, dict[str, Any]]:
    """Run one side on a new store; it must store everything."""
    with scratch() as folder, serving(switches) as server:
        where = corpus.path, folder / "store.db", server.url
        command = aip(*where, *SAME_WORK, *options) if ours else script(*where)
        done = run(command, folder)
        seen = server.stats()
    check(done)
    # Our side asks for a few texts more, to know the model again.
    stored = done.told["stored"] if ours else seen["distinct"]
    if stored != corpus.texts:
        raise RuntimeError(f"{stored} of {corpus.texts} texts were stored")
    return done, seen


def capacity(form: Form) -> tuple[Row, ...]:
    """Meet a limit of slots, which shows in nothing but slower answers."""
    # Start, first answer and end take half a second of any run, more than 1 % of one
    # over 400 MB.
    n_bytes = form.pick(quick=MIB // 2, brief=400_000_000, whole=1_000_000_000)
    slots = form.pick(quick=1, whole=SLOTS)
    with scratch() as folder:
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=n_bytes)
        share, theirs = _slots_used(corpus, slots), None
        if form is Form.WHOLE:
            theirs = _slots_used(corpus, slots, ours=False)
    bar = SLOTS_BAR / slack(form)
    row = Row(
        work=f"{slots} slots of {SLOT_S:g} s, {corpus.n_bytes / 1e6:.0f} MB",
        reference="not run" if theirs is None else f"{theirs:.1%}",
        bar=f">= {bar:.1%} over the whole process",
        measured=f"{share:.1%}",
        met=share >= bar,
    )
    if form is Form.QUICK:
        return (row,)
    return row, _most_of_slots(slots)


def _most_of_slots(slots: int) -> Row:
    """Say what the server lets anyone have, between the first and the last."""
    n_requests = MOST_S * slots / SLOT_S
    switches = Switches(slots=slots, latency_s=SLOT_S)
    with scratch() as folder, serving(switches) as server:
        check(run(saturate(server.url, requests=int(n_requests)), folder))
        seen = server.stats()
    share = MOST_S / (seen["last_s"] - seen["first_s"])
    return Row(
        work=f"{slots} slots: the most, to who only keeps them waiting",
        reference="between the first request and the last answer",
        bar="none: a floor",
        measured=f"{share:.1%}",
        met=None,
    )


def _slots_used(corpus: Corpus, slots: int, *, ours: bool = True) -> float:
    done, _ = _against(Switches(slots=slots, latency_s=SLOT_S), corpus, ours=ours)
    return math.ceil(corpus.texts / 64) * SLOT_S / slots / done.wall_s
