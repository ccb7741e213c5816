"""What Python allocates: all at once, or a piece at a time (tracemalloc)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs import Form, Row, scratch, traced
from labs.experiments.readers._bench import removed, repeated, text_unit

FULL, QUICK = 10**9, 10**7
CHUNK = 1024
PIECE = 512
"""Bytes read at a time where lines are wanted."""
LINES = 200_000, 800_000
QUICK_LINES = 20_000, 80_000
LINE_BARS = 45_000, 180_000


def eager(form: Form) -> tuple[Row, ...]:  # the shape of a part
    """Compare what is held: everything, or one piece."""
    with scratch() as folder:
        return tuple(_rows(folder, form=form))


def _rows(folder: Path, *, form: Form) -> Iterator[Row]:
    yield _chunks_beside_all(folder / "text", form.pick(quick=QUICK, whole=FULL))
    counts = form.pick(quick=QUICK_LINES, whole=LINES)
    peaks = [_through_lines(folder / "lines", count) for count in counts]
    for each, full, bar_full in zip(peaks, LINES, LINE_BARS, strict=True):
        least = bar_full * each.count / full
        yield _lazy_beside_lists(each, least=least, judged=form is not Form.QUICK)
        yield from _floors(each)
    yield _flat([each.lazy for each in peaks])


def _chunks_beside_all(path: Path, size: int) -> Row:
    with removed(repeated(path, text_unit(1 << 20), size)):
        _chunks(path)  # once before: what Python itself caches
        whole, piece = traced(path.read_bytes), traced(_chunks, path)
    ratio = whole.peak_bytes / piece.peak_bytes
    bar = 100_000 * size / FULL
    return Row(
        work=f"{size / 10**9:g} GB: chunks of {CHUNK} against read()",
        reference="claimed 13,000x for 1 GB",
        bar=f">= {bar:,.0f}x",
        measured=f"{ratio:,.0f}x, {piece.peak_bytes:,} bytes",
        met=ratio >= bar,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What the same steps over so many lines allocated at most, in bytes.

    Args:
        count: how many lines.
        listed: with a list for every step.
        lazy: with generators over `read_lines`.
        bare: with generators over what Python has, by its name.
    """

    count: int
    listed: int
    lazy: int
    bare: dict[str, int]


def _through_lines(path: Path, count: int) -> Peaks:
    with path.open("w") as file:
        file.writelines(f"{n:>8} {'word ' * 40}\n" for n in range(count))
    with removed(path):
        _generated(path), _generated_bare(path), _generated_least(path)
        return Peaks(
            count=count,
            listed=traced(_listed, path).peak_bytes,
            lazy=traced(_generated, path).peak_bytes,
            bare={
                "open()": traced(_generated_bare, path).peak_bytes,
                f"os.read of {PIECE} bytes": traced(_generated_least, path).peak_bytes,
            },
        )


def _lazy_beside_lists(peaks: Peaks, *, least: float, judged: bool) -> Row:
    ratio = peaks.listed / peaks.lazy
    return Row(
        work=f"{peaks.count:,} lines: generators against lists",
        reference="claimed 4,800x",
        bar=f">= {least:,.0f}x",
        measured=f"{ratio:,.0f}x, {peaks.lazy:,} bytes",
        met=ratio >= least if judged else None,
    )


def _floors(peaks: Peaks) -> Iterator[Row]:
    for name, bare in peaks.bare.items():
        yield Row(
            work=f"{peaks.count:,} lines: the same generators over {name}",
            reference="nothing checked, nothing bounded",
            bar="none: a floor",
            measured=f"{peaks.listed / bare:,.0f}x, {bare:,} bytes",
            met=None,
        )


def _flat(peaks: Sequence[int]) -> Row:
    return Row(
        work="the generators' peak at both counts",
        reference="",
        bar="flat",
        measured=" and ".join(f"{peak:,} bytes" for peak in peaks),
        met=max(peaks) - min(peaks) <= max(peaks) // 10,
    )


def _chunks(path: Path) -> int:
    from aip_readers import FileChunkIterator  # as labs ask

    with FileChunkIterator(path, CHUNK) as blocks:
        return sum(map(len, blocks))


def _listed(path: Path) -> int:
    with path.open() as file:
        lines = file.readlines()
    stripped = [line.strip() for line in lines]
    upper = [line.upper() for line in stripped]
    return sum([len(line) for line in upper])  # the broken way holds all


def _generated(path: Path) -> int:
    from aip_readers import read_lines  # as labs ask

    with read_lines(path, PIECE) as lines:
        return _chained(lines)


def _generated_bare(path: Path) -> int:
    with path.open(encoding="utf-8") as lines:
        return _chained(lines)


def _generated_least(path: Path) -> int:
    return _chained(_split_lines(path))


def _split_lines(path: Path) -> Iterator[str]:
    """Split what the system gives, each name taken again for what comes of it."""
    file, rest = os.open(path, os.O_RDONLY), b""
    try:
        while block := os.read(file, PIECE):
            block = rest + block
            cut = block.rfind(b"\n")
            rest = block[cut + 1 :]
            block = block[:cut]
            yield from str(block, "utf-8").split("\n")
    finally:
        os.close(file)


def _chained(lines: Iterable[str]) -> int:
    stripped = (line.strip() for line in lines)
    upper = (line.upper() for line in stripped)
    return sum(len(line) for line in upper)
