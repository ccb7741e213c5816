"""What Python allocates: all at once, or a piece at a time (tracemalloc)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
    size = form.pick(quick=QUICK, whole=FULL)
    path = repeated(folder / "text", text_unit(1 << 20), size)
    with removed(path):
        _chunks(path)  # once before: what Python itself caches
        whole, piece = traced(path.read_bytes), traced(_chunks, path)
    ratio = whole.peak_bytes / piece.peak_bytes
    bar = 100_000 * size / FULL
    yield Row(
        work=f"{size / 10**9:g} GB: chunks of {CHUNK} against read()",
        reference="claimed 13,000x for 1 GB",
        bar=f">= {bar:,.0f}x",
        measured=f"{ratio:,.0f}x, {piece.peak_bytes:,} bytes",
        met=ratio >= bar,
    )
    del whole
    peaks = []
    counts = form.pick(quick=QUICK_LINES, whole=LINES)
    for count, full, bar_full in zip(counts, LINES, LINE_BARS, strict=True):
        path = folder / "lines"
        with path.open("w") as file:
            file.writelines(f"{n:>8} {'word ' * 40}\n" for n in range(count))
        with removed(path):
            _generated(path), _generated_bare(path), _generated_least(path)
            listed, lazy = traced(_listed, path), traced(_generated, path)
            floors = {
                "over open()": traced(_generated_bare, path),
                f"over os.read of {PIECE} bytes": traced(_generated_least, path),
            }
        peaks.append(lazy.peak_bytes)
        ratio = listed.peak_bytes / lazy.peak_bytes
        least = bar_full * count / full
        yield Row(
            work=f"{count:,} lines: generators against lists",
            reference="claimed 4,800x",
            bar=f">= {least:,.0f}x",
            measured=f"{ratio:,.0f}x, {lazy.peak_bytes:,} bytes",
            met=None if form is Form.QUICK else ratio >= least,
        )
        for over, bare in floors.items():
            yield Row(
                work=f"{count:,} lines: the same generators {over}",
                reference="nothing checked, nothing bounded",
                bar="none: a floor",
                measured=f"{listed.peak_bytes / bare.peak_bytes:,.0f}x, "
                f"{bare.peak_bytes:,} bytes",
                met=None,
            )
    yield Row(
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
