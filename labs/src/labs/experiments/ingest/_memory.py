"""Peak memory: at two sizes, and with one line that does not end."""

from __future__ import annotations

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
    small = form.pick(quick=MB // 4, whole=10 * MB)
    large = form.pick(quick=MB, brief=100 * MB, whole=1000 * MB)
    line = form.pick(quick=20 * MB, brief=100 * MB, whole=1000 * MB)
    theirs = form is not Form.QUICK
    with scratch() as folder:
        path = folder / "corpus.jsonl"
        few = write_corpus(path, n_bytes=small)
        theirs_small = _peak(few, ours=False) if theirs else 0.0
        small_peak = _peak(few)
        many = write_corpus(path, n_bytes=large)
        theirs_large = _peak(many, ours=False) if theirs else 0.0
        large_peak = _peak(many)
        path.unlink()
        one = write_one_line(path, n_bytes=line)
        line_peak = _peak(one, code=DEAD_LETTERS)
    growth = large_peak - small_peak
    most = max(small_peak, large_peak)
    # Quick sizes only show that nothing grows without bound.
    peak_bar = PEAK_BAR_MIB * form.pick(quick=2, whole=1)
    growth_bar = GROWTH_BAR_MIB * slack(form)
    return (
        Row(
            work=f"peak memory, MiB, {large // MB} MB of input",
            reference=f"{theirs_large:.1f}" if theirs_large else "not run",
            bar=f"<= {peak_bar}",
            measured=f"{most:.1f}",
            met=most <= peak_bar,
        ),
        Row(
            work=f"its growth from {small / MB:g} MB, MiB",
            reference=f"{theirs_large - theirs_small:.1f}"
            if theirs_large
            else "not run",
            bar=f"<= {growth_bar:g}",
            measured=f"{growth:.1f}",
            met=growth <= growth_bar,
        ),
        Row(
            work=f"peak memory, MiB, one line of {one.n_bytes // MB} MB",
            reference="not run: it holds the line",
            bar=f"<= {peak_bar}, exit {DEAD_LETTERS}",
            measured=f"{line_peak:.1f}, exit {DEAD_LETTERS}",
            met=line_peak <= peak_bar,
        ),
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
