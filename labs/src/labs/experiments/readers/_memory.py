"""Memory: the peak of a fresh process over a bare interpreter's, at growing sizes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from labs import MIB, Form, Row, scratch
from labs.experiments.readers._bench import (
    UNIT,
    Missing,
    csv_unit,
    jsonl_unit,
    members,
    removed,
    repeated,
    run,
    text_unit,
    zstd,
)

GB = 10**9
SIZES = GB // 10, GB, 10 * GB
BRIEF = SIZES[:2]
QUICK = UNIT, 3 * UNIT
EQUAL = 0.5
LONG = 2 << 30
POLICIES = "error", "skip", "truncate", "split"


def memory(form: Form) -> tuple[Row, ...]:  # the shape of a part
    """Measure every reader at every size."""
    with scratch() as folder:
        bare = run("nothing", "-").peak_bytes
        return tuple(_rows(folder, bare, form=form))


def _rows(folder: Path, bare: int, *, form: Form) -> Iterator[Row]:
    sizes = form.pick(quick=QUICK, brief=BRIEF, whole=SIZES)
    text = text_unit(UNIT)
    grown = partial(_grown, folder, bare, judged=form is not Form.QUICK)
    # What others take for the same, with nothing of ours: part of our peaks.
    floor = partial(grown, bar=None)
    yield grown("lines", "lines", text, sizes, bar=4)
    objects = jsonl_unit(UNIT)
    yield grown("JSONL", "jsonl_plain", objects, sizes, bar=4)
    yield grown("JSONL, [fast]", "jsonl", objects, sizes[:2], bar=4)
    yield floor("map(orjson.loads) alone", "jsonl_orjson", objects, sizes[:2])
    yield grown("CSV", "csv_rows", csv_unit(UNIT), sizes, bar=4, head=b"id,text\n")
    member = gzip.compress(text, 6)
    yield grown("gzip", "lines_plain", text, sizes, bar=4, member=member)
    yield grown("gzip, [fast]", "lines", text, sizes[:2], bar=4, member=member)
    with suppress(Missing):
        frame = zstd(text)
        yield grown("zstd, its window 2 MiB", "lines", text, sizes, bar=4, member=frame)
        some, alone = sizes[:2], "zstd, its decompressor alone"
        yield floor(alone, "zstd_bare", text, some, member=frame)
        frame = zstd(text, 1)
        yield grown("zstd, level 1", "lines", text, some, bar=4, member=frame)
    slow = form.pick(quick=QUICK, brief=(GB // 10, 3 * GB // 10), whole=SIZES[:2])
    yield grown("clean and split", "split", text, slow, bar=8)
    yield grown("async batches", "stream_batches", text, sizes[:2], bar=12)
    yield floor("asyncio alone", "asyncio_alone", text, sizes[:1])
    yield floor("asyncio, batches without a thread", "sync_batches", text, sizes[:1])
    yield from _long_line(folder, bare, form.pick(quick=4 * MIB, whole=LONG))
    yield _bomb(folder, bare)


def _grown(  # noqa: PLR0917  # the first two are bound once
    folder: Path,
    bare: int,
    name: str,
    work: str,
    unit: bytes,
    sizes: tuple[int, ...],
    *,
    judged: bool,
    bar: float | None,
    head: bytes = b"",
    member: bytes = b"",
) -> Row:
    path, peaks = folder / "grown", []
    # A first run, so that what Python caches on disk is there for all.
    for size in (min(sizes), *sizes):
        if member:
            members(path, unit, member, size)
        else:
            repeated(path, unit, size, head=head)
        with removed(path):
            try:
                peaks.append((run(work, path).peak_bytes - bare) / MIB)
            except Missing as error:
                return _missing(name, error, bar)
    return _compared(name, sizes, peaks[1:], bar=bar, judged=judged)


def _compared(
    name: str,
    sizes: Sequence[int],
    peaks: Sequence[float],
    *,
    bar: float | None,
    judged: bool,
) -> Row:
    """Compare the peaks with the bar, if there is one, and with each other."""
    row = Row(
        work=f"{name}: peak over a bare interpreter",
        reference=" / ".join(f"{size / GB:g} GB" for size in sizes),
        bar="none: not ours",
        measured=" / ".join(f"{peak:.2f}" for peak in peaks) + " MiB",
        met=None,
    )
    if bar is None:
        return row
    apart = max(peaks) - min(peaks)
    return replace(
        row,
        bar=f"<= {bar:g} MiB, equal within {EQUAL}",
        # Small files tell what grows, not what the peak is.
        met=apart <= EQUAL and (max(peaks) <= bar or not judged),
    )


def _missing(name: str, error: Missing, bar: float | None) -> Row:
    return Row(
        work=name,
        reference="",
        bar="none: not ours" if bar is None else f"<= {bar:g} MiB",
        measured=f"not measured: {error}",
        met=None,
    )


def _long_line(folder: Path, bare: int, size: int) -> Iterator[Row]:
    path = repeated(folder / "long", b"x" * MIB, size)
    with removed(path):
        run("long_line", path, "skip")  # a first run, as above
        for policy in POLICIES:
            peak = (run("long_line", path, policy).peak_bytes - bare) / MIB
            yield Row(
                work=f"a line of {size / (1 << 30):g} GiB, max_record_bytes=1 MiB",
                reference=f'on_oversize="{policy}"',
                bar="<= 6 MiB",
                measured=f"{peak:.2f} MiB",
                met=peak <= 6 if size == LONG else None,  # noqa: PLR2004  # the bar
            )


def _bomb(folder: Path, bare: int) -> Row:
    path = folder / "bomb"
    path.write_bytes(gzip.compress(bytes(256 * MIB), 9))
    with removed(path):
        ran = run("bomb", path)
    peak = (ran.peak_bytes - bare) / MIB
    return Row(
        work="a gzip bomb of 256 MiB",
        reference="",
        bar="stopped, <= 8 MiB",
        measured=f"{'stopped' if ran.value else 'not stopped'}, {peak:.2f} MiB, "
        f"{1000 * ran.cpu_s:.0f} ms with the import",
        met=bool(ran.value) and peak <= 8,  # noqa: PLR2004  # the bar
    )
