"""Lab 4.1: the same work on one thread, on two, and in two processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager

from labs import (
    Chart,
    Figure,
    Finding,
    Form,
    Ratio,
    Series,
    Spread,
    Way,
    alternate,
    experiment,
    timed,
)

WORKERS = 2
LINES, QUICK_LINES = 30_000, 8_000
MEGABYTES, QUICK_MEGABYTES = 200, 50
LINE = "A line of text that a cleaner looks at, character by character.  \t "
NO_GAIN, GAIN = 1.35, 1.25
NAMES = "Python, two threads", "Python, two processes", "hashing, two threads"
# What two processes that only count must gain before anything is judged.
SPARE, TRIES = 1.5, 3


class TooFewCores(RuntimeError):
    """Report a machine that has no second core to spare: nothing can be told on it."""


def clean_lines(lines: int) -> int:
    """Clean text with the platform: pure Python, which holds the GIL."""
    from aip_readers import Cleaner

    clean = Cleaner()
    return sum(len(clean(f"{number} {LINE}")) for number in range(lines))


def digest(megabytes: int) -> str:
    """Hash bytes in C: hashlib lets go of the GIL over large buffers."""
    block, made = bytes(1 << 20), hashlib.sha256()
    for _ in range(megabytes):
        made.update(block)
    return made.hexdigest()


@contextmanager
def warm(pool: Executor) -> Iterator[Executor]:
    """Start the workers before anything is measured."""
    with pool:
        list(pool.map(clean_lines, [1] * WORKERS))
        yield pool


def speedup(
    work: Callable[[int], object], amount: int, pool: Executor, *, rounds: int
) -> Ratio:
    """Compare doing it twice in a row with doing both at once in *pool*."""

    def in_a_row() -> None:
        for _ in range(WORKERS):
            work(amount)

    def at_once() -> None:
        list(pool.map(work, [amount] * WORKERS))

    return alternate(timed(in_a_row), timed(at_once), rounds=rounds)


def check_cores(processes: Executor, megabytes: int) -> None:
    """See that two processes that share nothing run beside each other.

    Raises:
        TooFewCores: they do not, in several tries.
    """
    best = 0.0
    for _ in range(TRIES):
        tried = speedup(_hash_length, megabytes, processes, rounds=3)
        best = max(best, tried.ratio.median)
        if best >= SPARE:
            return
    raise TooFewCores(
        f"two independent processes are only {best:.2f} times as fast as one: run this "
        "on a machine with two free cores"
    )


def _hash_length(megabytes: int) -> int:
    return len(digest(megabytes))


def measure(form: Form) -> list[Spread]:
    """Give the three speedups that have `NAMES`."""
    lines = form.pick(quick=QUICK_LINES, whole=LINES)
    megabytes = form.pick(quick=QUICK_MEGABYTES, whole=MEGABYTES)
    rounds = form.pick(quick=5, whole=7)
    with (
        warm(ThreadPoolExecutor(WORKERS)) as threads,
        warm(ProcessPoolExecutor(WORKERS)) as processes,
    ):
        check_cores(processes, megabytes)
        found = [
            speedup(clean_lines, lines, threads, rounds=rounds),
            speedup(clean_lines, lines, processes, rounds=rounds),
            speedup(digest, megabytes, threads, rounds=rounds),
        ]
    return [each.ratio for each in found]


@experiment(
    "4.1",
    title="Threads or processes for work that needs a processor",
    question="When do two threads do twice as much, and when only two processes?",
    hypothesis=(
        "Threads share one GIL, so pure Python gains nothing from a second one. "
        "Processes have a GIL each. Code in C that lets go of it gains from threads."
    ),
    claim=(
        "pure Python: no gain from two threads, a gain from two processes; hashing in "
        "C: a gain from two threads"
    ),
    explanation="""
        The interpreter runs the bytecode of one thread at a time. Two threads of pure
        Python take turns, so together they are as fast as one. hashlib, zlib, numpy
        and the tokenizer work outside the interpreter on large buffers, and release
        the GIL meanwhile. On two cores, twice as fast is the most there is.""",
    production="""
        The pipeline uses threads: reading, tokenizing, numpy and SQLite all release the
        GIL for most of their time, and nothing has to be pickled. What is left under
        the GIL, cleaning and splitting, runs at tens of MiB a second, far above what
        any embedder takes. Sources can be spread over processes by running several
        commands, each with a store of its own.""",
)
def lab(form: Form) -> Finding:
    """Measure three speedups, each against doing the same in a row."""
    speedups = measure(form)
    in_threads, in_processes, hashing = (each.median for each in speedups)
    holds = in_threads < NO_GAIN and min(in_processes, hashing) > GAIN
    return Finding(
        measured=(
            f"pure Python: {in_threads:.2f} times as fast in two threads, "
            f"{in_processes:.2f} in two processes; hashing: {hashing:.2f} in threads"
        ),
        verdict="reproduced" if holds else "not reproduced",
        broken=Way(
            name="threads under the GIL", code="ThreadPoolExecutor(2).map(clean)"
        ),
        right=Way(
            name="processes, or code that lets go of it",
            code="ProcessPoolExecutor(2).map(clean); ThreadPoolExecutor(2).map(sha256)",
        ),
        figures=_figures(speedups),
        charts=(_chart(speedups),),
    )


def _figures(speedups: Sequence[Spread]) -> tuple[Figure, ...]:
    return tuple(
        Figure(name=name, value=each.median, unit="x", low=each.low, high=each.high)
        for name, each in zip(NAMES, speedups, strict=True)
    )


def _chart(speedups: Sequence[Spread]) -> Chart:
    return Chart(
        title="How many times as fast as one after the other",
        x="two at once",
        y="times",
        series=(
            Series(
                label="measured",
                xs=NAMES,
                ys=[each.median for each in speedups],
                lows=[each.low for each in speedups],
                highs=[each.high for each in speedups],
            ),
        ),
    )
