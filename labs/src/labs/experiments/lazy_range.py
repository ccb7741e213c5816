"""Lab 1.1: ten million numbers, held or counted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from labs import (
    MIB,
    Chart,
    Figure,
    Finding,
    Form,
    Fresh,
    Series,
    Way,
    compare,
    experiment,
    fresh,
    traced,
    worst,
)

FULL, QUICK = 10_000_000, 300_000
# The claim, per number: 381.46 MiB and 76.29 MiB over ten million of them.
CLAIMED_LIST_BYTES, CLAIMED_OBJECT_BYTES = 40.0, 8.0
CLAIMED_RANGE_MIB = 0.0001


def hold(n: int) -> list[int]:
    """Make the numbers below *n*, all at once."""
    return list(range(n))


def count(n: int) -> range:
    """Make what can count the numbers below *n*."""
    return range(n)


def total_of_list(n: int) -> int:
    """Add the numbers below *n*, all made first."""
    return _total(hold(n))


def total_of_range(n: int) -> int:
    """Add the numbers below *n*, one at a time."""
    return _total(count(n))


def _total(numbers: Iterable[int]) -> int:
    total = 0
    for each in numbers:
        total += each
    return total


@experiment(
    "1.1",
    title="A list of ten million numbers against range",
    question="What does it cost to hold what could be counted?",
    hypothesis=(
        "A list holds a pointer (8 bytes) and an int object (32) for each number; "
        "a range holds three numbers, however long it is."
    ),
    claim=(
        "list(range(10_000_000)): 381.46 MB, of which the list object 76.29 MB; "
        "range: 0.0001 MB (tracemalloc)"
    ),
    explanation="""
        The list object is only an array of pointers; the numbers they point to are
        objects of their own, four times as large. getsizeof sees the array alone.
        A range makes each number when it is asked for and forgets it after.
        Only the memory of the interpreter itself is left.""",
    production="""
        Read a source as an iterator and hold one piece of it. aip_readers does so from
        the first byte to the last chunk: labs 1.3 to 1.5 measure it on files.""",
)
def lab(form: Form) -> Finding:
    """Measure both by tracemalloc, then as resident memory of fresh processes."""
    n = form.pick(quick=QUICK, whole=FULL)
    held, counted = traced(hold, n), traced(count, n)
    object_bytes = sys.getsizeof(held.value)
    resident = [fresh(way, n) for way in (total_of_list, total_of_range)]
    if resident[0].value != resident[1].value:
        raise AssertionError("both ways must give the same total")
    held_mib, counted_mib = held.peak_bytes / MIB, counted.peak_bytes / MIB
    return Finding(
        measured=(
            f"list of {n:,}: {held_mib:.2f} MiB, of which the list object "
            f"{object_bytes / MIB:.2f} MiB; range: {counted_mib:.4f} MiB"
        ),
        verdict=worst(
            compare(held.peak_bytes / n, claimed=CLAIMED_LIST_BYTES, tolerance=0.02),
            compare(object_bytes / n, claimed=CLAIMED_OBJECT_BYTES, tolerance=0.02),
            compare(
                counted_mib, claimed=CLAIMED_RANGE_MIB, tolerance=0.5, good="lower"
            ),
        ),
        broken=Way(name="hold them", code="numbers = list(range(10_000_000))"),
        right=Way(name="count them", code="numbers = range(10_000_000)"),
        figures=_figures(held_mib, object_bytes / MIB, counted_mib, n=n)
        + tuple(_resident(resident)),
        charts=(_chart(held_mib, counted_mib, n=n),),
    )


def _figures(
    held_mib: float, object_mib: float, counted_mib: float, *, n: int
) -> tuple[Figure, ...]:
    rows = (
        ("list, tracemalloc peak", held_mib, CLAIMED_LIST_BYTES * n / MIB),
        ("list object alone", object_mib, CLAIMED_OBJECT_BYTES * n / MIB),
        ("range, tracemalloc peak", counted_mib, CLAIMED_RANGE_MIB),
    )
    return tuple(
        Figure(name=name, value=value, unit="MiB", claimed=claimed)
        for name, value, claimed in rows
    )


def _resident(ways: Sequence[Fresh[int]]) -> Iterator[Figure]:
    for name, way in zip(("list", "range"), ways, strict=True):
        label = f"{name} added up, memory a fresh process gained"
        yield Figure(name=label, value=way.grown_bytes / MIB, unit="MiB")


def _chart(held_mib: float, counted_mib: float, *, n: int) -> Chart:
    names = ("list", "range")
    claimed = (CLAIMED_LIST_BYTES * n / MIB, CLAIMED_RANGE_MIB)
    return Chart(
        title=f"Memory of {n:,} numbers",
        x="way",
        y="peak, MiB (tracemalloc)",
        log_y=True,
        series=(
            Series(label="measured", xs=names, ys=(held_mib, counted_mib)),
            Series(label="claimed", xs=names, ys=claimed, model=True),
        ),
    )
