"""Peak memory of two ways over one file, at several sizes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs._corpus import prose
from labs._measure import KIB, MIB, fresh, traced
from labs._result import Chart, Figure, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The peaks of both ways over a file of one size, in bytes.

    Args:
        size: of the file.
        broken: what the broken way allocated at most (tracemalloc).
        right: the same of the right way.
        broken_resident: what a fresh process gained by the broken way (VmHWM).
        right_resident: the same of the right way.
    """

    size: int
    broken: int
    right: int
    broken_resident: int
    right_resident: int

    @property
    def ratio(self) -> float:
        """How many times less the right way took."""
        return self.broken / self.right

    @property
    def name(self) -> str:
        """The size, for a reader."""
        return f"{self.size / 1e6:,.0f} MB"


def peaks(
    folder: Path,
    *,
    sizes: Sequence[int],
    broken: Callable[[str], int],
    right: Callable[[str], int],
) -> list[Peaks]:
    """Measure two functions of a path on files of these sizes.

    Both must return the same number, which shows that they did the same work.

    Raises:
        AssertionError: they did not.
    """
    warm = str(prose(folder / "warm", size=KIB))
    broken(warm), right(warm)  # what is imported or cached is not theirs
    found = []
    for size in sizes:
        path = str(prose(folder / "text", size=size))
        first, second = traced(broken, path), traced(right, path)
        if first.value != second.value:
            raise AssertionError(f"not the same work: {first.value}, {second.value}")
        found.append(
            Peaks(
                size=size,
                broken=first.peak_bytes,
                right=second.peak_bytes,
                broken_resident=fresh(broken, path).grown_bytes,
                right_resident=fresh(right, path).grown_bytes,
            )
        )
    return found


def peaks_figures(
    found: Sequence[Peaks],
    *,
    broken: str,
    right: str,
    claimed: tuple[float, float, float],
) -> tuple[Figure, ...]:
    """Give every figure of *found*.

    Args:
        found: by size; the last one is the size the claim speaks of, or stands for.
        broken: the name of the broken way.
        right: the name of the right way.
        claimed: MiB of the broken way, KiB of the right way, and their ratio, at
            the last size.
    """
    broken_mib, right_kib, ratio = claimed
    figures = []
    for each in found:
        share = each.size / found[-1].size
        rows = (
            (f"{broken}, tracemalloc", each.broken / MIB, "MiB", broken_mib * share),
            (f"{right}, tracemalloc", each.right / KIB, "KiB", right_kib),
            ("ratio", each.ratio, "x", ratio * share),
            (f"{broken}, a process gained", each.broken_resident / MIB, "MiB", None),
            (f"{right}, a process gained", each.right_resident / MIB, "MiB", None),
        )
        figures += [
            Figure(name=f"{each.name} {what}", value=value, unit=unit, claimed=said)
            for what, value, unit, said in rows
        ]
    return tuple(figures)


def peaks_chart(
    found: Sequence[Peaks], *, title: str, broken: str, right: str
) -> Chart:
    """Draw what both ways allocated, by size."""
    names = [each.name for each in found]
    return Chart(
        title=title,
        x="file",
        y="peak, MiB (tracemalloc)",
        log_y=True,
        series=(
            Series(label=broken, xs=names, ys=[p.broken / MIB for p in found]),
            Series(label=right, xs=names, ys=[p.right / MIB for p in found]),
        ),
    )
