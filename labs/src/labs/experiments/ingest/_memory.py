"""Peak memory: at two sizes, and with one line that does not end."""

from __future__ import annotations

from pathlib import Path

from labs._form import Form
from labs._measure import MIB, scratch
from labs._result import Row
from labs.experiments.ingest._client import IN_FLIGHT, aip, run, script, serving, slack
from labs.experiments.ingest._corpus import Corpus, write_corpus, write_one_line
from labs.experiments.ingest._cost import CUT, check

PEAK_BAR_MIB, GROWTH_BAR_MIB = 80, 4
MB = 1_000_000
DEAD_LETTERS = 3


def memory(form: Form) -> tuple[Row, ...]:
    """Take the peak (VmHWM) of fresh processes, everything on, 32 in flight."""
    # Quick sizes only show that nothing grows without bound.
    peak_bar = PEAK_BAR_MIB * form.pick(quick=2, whole=1)
    with scratch() as folder:
        path = folder / "corpus.jsonl"
        return (
            *_many_records(path, form, peak_bar=peak_bar),
            _one_line(path, form, peak_bar=peak_bar),
        )


def _many_records(path: Path, form: Form, *, peak_bar: int) -> tuple[Row, Row]:
    """Tell the peak at two sizes, and how far it grows between them."""
    small = form.pick(quick=MB // 4, whole=10 * MB)
    large = form.pick(quick=MB, brief=100 * MB, whole=1000 * MB)
    ours, theirs = [], []
    for size in small, large:
        corpus = write_corpus(path, n_bytes=size)
        if form is not Form.QUICK:
            theirs.append(_peak(corpus, ours=False))
        ours.append(_peak(corpus))
    most, growth = max(ours), ours[1] - ours[0]
    growth_bar = GROWTH_BAR_MIB * slack(form)
    return (
        Row(
            work=f"peak memory, MiB, {large // MB} MB of input",
            reference=f"{theirs[1]:.1f}" if theirs else "not run",
            bar=f"<= {peak_bar}",
            measured=f"{most:.1f}",
            met=most <= peak_bar,
        ),
        Row(
            work=f"its growth from {small / MB:g} MB, MiB",
            reference=f"{theirs[1] - theirs[0]:.1f}" if theirs else "not run",
            bar=f"<= {growth_bar:g}",
            measured=f"{growth:.1f}",
            met=growth <= growth_bar,
        ),
    )


def _one_line(path: Path, form: Form, *, peak_bar: int) -> Row:
    """Tell the peak over a line that does not end, which is a dead letter."""
    size = form.pick(quick=20 * MB, brief=100 * MB, whole=1000 * MB)
    corpus = write_one_line(path, n_bytes=size)
    peak = _peak(corpus, code=DEAD_LETTERS)
    return Row(
        work=f"peak memory, MiB, one line of {corpus.n_bytes // MB} MB",
        reference="not run: it holds the line",
        bar=f"<= {peak_bar}, exit {DEAD_LETTERS}",
        measured=f"{peak:.1f}, exit {DEAD_LETTERS}",
        met=peak <= peak_bar,
    )


def _peak(corpus: Corpus, *, ours: bool = True, code: int = 0) -> float:
    """Run one side on a store of its own; give its peak in MiB."""
    with scratch() as folder, serving() as server:
        where = corpus.path, folder / "store.db", server.url
        command = (
            aip(*where, concurrency=IN_FLIGHT) if ours else script(*where, size=CUT)
        )
        done = run(command, folder)
    check(done, code=code)
    return done.peak_bytes / MIB
