"""The measuring tools that every experiment shares.

Memory is the peak of a fresh process, as the kernel counted it (VmHWM), or what
Python itself allocated (tracemalloc). Times are compared as ratios of two sides
that take turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

KIB = 1 << 10
MIB = 1 << 20
FRESH_TIMEOUT_S = 1200.0

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several runs, and the ends between which they fell."""

    median: float
    low: float
    high: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh(Generic[T]):
    """What a function did in a process of its own.

    Args:
        value: what it returned, after a passage through JSON.
        peak_bytes: the greatest resident memory of the process (VmHWM).
        start_bytes: the same just before the call, with the module imported.
        seconds: how long the call took.
    """

    value: T
    peak_bytes: int
    start_bytes: int
    seconds: float

    @property
    def grown_bytes(self) -> int:
        """Peak memory that the call itself added."""
        return self.peak_bytes - self.start_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced(Generic[T]):
    """What a function allocated through Python's allocators.

    Args:
        value: what it returned.
        peak_bytes: the most that was allocated at one time during the call.
        left_bytes: what was still allocated after it, the value included.
    """

    value: T
    peak_bytes: int
    left_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Two sides that took turns: first over second, turn by turn."""

    ratio: Spread
    first: Spread
    second: Spread


def spread(values: Sequence[float]) -> Spread:
    """Give the median and the ends of *values*.

    Raises:
        statistics.StatisticsError: there are none.

    >>> spread([3, 1, 2])
    Spread(median=2, low=1, high=3, runs=3)
    """
    middle = statistics.median(values)
    return Spread(median=middle, low=min(values), high=max(values), runs=len(values))


def peak_bytes() -> int:
    """Give the greatest resident memory this process has had, in bytes.

    VmHWM from ``/proc/self/status`` (proc_pid_status(5)). Not ``ru_maxrss``
    there: Linux hands that one down from the parent through fork and exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
    import resource  # noqa: PLC0415  # absent on Windows, needed only off Linux

    unit = 1 if sys.platform == "darwin" else KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def fresh(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Fresh[T]:
    """Call a module-level function in a fresh process and read its peak memory.

    Arguments and value must survive JSON. One process runs at a time, for at most
    `FRESH_TIMEOUT_S` seconds.

    Raises:
        RuntimeError: the function failed; its traceback is in the notes.
        subprocess.TimeoutExpired: it did not end in time (and was killed).
    """
    done = subprocess.run(
        [sys.executable, "-m", "labs._child", function.__module__, function.__name__],
        input=json.dumps([args, kwargs]),
        capture_output=True,
        text=True,
        check=False,
        timeout=FRESH_TIMEOUT_S,
    )
    if done.returncode != 0:
        said = done.stderr.strip() or f"ended with {done.returncode}"
        name = f"{function.__module__}.{function.__name__}"
        error = RuntimeError(f"{name} failed: {said.splitlines()[-1]}")
        error.add_note(said)
        raise error
    told = json.loads(done.stdout.splitlines()[-1])
    return Fresh(
        value=told["value"],
        peak_bytes=told["peak_bytes"],
        start_bytes=told["start_bytes"],
        seconds=told["seconds"],
    )


def traced(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Traced[T]:
    """Call a function under tracemalloc and give the peak it allocated."""
    call = partial(function, *args, **kwargs)
    gc.collect()
    tracemalloc.start()
    try:
        value = call()
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Traced(value=value, peak_bytes=peak, left_bytes=left)


def timed(function: Callable[[], object]) -> Callable[[], float]:
    """Turn a function into one that gives the seconds its call took."""

    def seconds() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return seconds


def alternate(
    first: Callable[[], float], second: Callable[[], float], *, rounds: int = 5
) -> Ratio:
    """Let two sides take turns, and give the ratio of their figures.

    Each side returns its own figure (wrap it in `timed` for seconds). The order
    swaps each round, so that neither always comes second. A warm-up round runs
    before and is not counted.
    """
    first(), second()
    pairs: list[tuple[float, float]] = []
    for turn in range(rounds):
        if turn % 2:
            late = second()
            pairs.append((first(), late))
        else:
            pairs.append((first(), second()))
    return Ratio(
        ratio=spread([a / b for a, b in pairs]),
        first=spread([a for a, _ in pairs]),
        second=spread([b for _, b in pairs]),
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """Give an empty folder, and remove it with all it holds."""
    with tempfile.TemporaryDirectory(prefix="aip-labs-") as folder:
        yield Path(folder)
