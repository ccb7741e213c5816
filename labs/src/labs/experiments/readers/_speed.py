"""Speed: CPU seconds of fresh processes, turn by turn with the reference."""

# The table of bars is read in columns.
# ruff: noqa: E501

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

from labs import MIB, Form, Row, scratch
from labs.experiments.readers._bench import (
    UNIT,
    Missing,
    bar_text,
    jsonl_unit,
    members,
    race,
    repeated,
    row_of,
    text_unit,
)

FULL, BRIEF, QUICK = 256 * MIB, 64 * MIB, 2 * MIB
SLOW = 16
"""Peers far slower than the rest get this part of the text."""


class Bar(NamedTuple):
    """A work, what it is measured against, and how much faster it must be.

    A floor has no bar: it is the same work in the fewest steps that Python has, with
    nothing checked and nothing bounded; what a reader can hope for.
    """

    name: str
    ours: str
    reference: str
    theirs: str
    at_least: float | None
    file: str
    slow: bool = False


BARS = (
    Bar("blocks", "blocks", "bare readinto loop", "blocks_bare", 0.95, "text"),
    Bar("blocks, the floor", "blocks_floor", "the same loop", "blocks_bare", None, "text"),
    Bar("lines, ceiling on", "lines", "for line in open()", "lines_bare", 1.3, "text"),
    Bar("lines, Latin-1 only", "lines", "for line in open()", "lines_bare", 1.3, "latin"),
    Bar("lines, the floor", "lines_floor", "the same loop", "lines_bare", None, "text"),
    Bar("Latin-1, the floor", "lines_floor", "the same loop", "lines_bare", None, "latin"),
    Bar("lines as records", "line_records", "the same loop", "lines_bare", 0.75, "text"),
    Bar("records, the floor", "records_floor", "the same loop", "lines_bare", None, "text"),
    Bar("JSONL, [fast]", "jsonl", "map(orjson.loads)", "jsonl_orjson", 0.95, "jsonl"),
    Bar("JSONL records", "jsonl_records", "the same", "jsonl_orjson", 0.6, "jsonl"),
    Bar("JSONL, no extra", "jsonl_plain", "json.loads loop", "jsonl_bare", 1.0, "jsonl"),
    Bar("gzip, limits on", "blocks", "isal raw", "gzip_isal_raw", 0.85, "gzip"),
    Bar("gzip, limits on", "blocks", "gzip module", "gzip_module", 2.5, "gzip"),
    Bar("gzip, no extra", "gzip_plain", "gzip module", "gzip_module", 1.2, "gzip"),
    Bar("gzip lines", "lines", 'gzip.open("rt")', "gzip_lines_module", 2.0, "gzip"),
    Bar("clean", "clean", "naive re + normalize", "clean_naive", 3.0, "text", slow=True),
    Bar("clean", "clean", "ftfy", "clean_ftfy", 25.0, "text", slow=True),
    Bar("split", "split_only", "semantic-text-splitter", "split_semantic", 1.2, "text", slow=True),
    Bar("split", "split_only", "LangChain, start_index", "split_langchain", 5.0, "text", slow=True),
    Bar("split, the floor", "split_floor", "LangChain, start_index", "split_langchain", None, "text", slow=True),
    Bar("clean and split", "split", "semantic-text-splitter", "split_semantic", 1.2, "text", slow=True),
    Bar("async batches", "stream_batches", "the same sync", "sync_batches", 1 / 1.15, "text"),
    Bar("async, the floor", "async_floor", "the same sync", "sync_batches", None, "text"),
    Bar("async lines", "stream_lines", "aiofiles", "aiofiles_lines", 40.0, "text", slow=True),
)  # fmt: skip


def speed(form: Form) -> tuple[Row, ...]:  # the shape of a part
    """Race every work against its reference."""
    size = form.pick(quick=QUICK, brief=BRIEF, whole=FULL)
    rounds, judged = form.pick(quick=1, whole=3), form is not Form.QUICK
    with scratch() as folder:
        files = _files(folder, size)
        return tuple(_row(bar, files, rounds=rounds, judged=judged) for bar in BARS)


def _files(folder: Path, size: int) -> dict[str, tuple[Path, int]]:
    """Make each corpus, a sixteenth of the text, and a small one of each to warm up."""
    unit = text_unit(min(size, UNIT))
    small = repeated(folder / "small", unit, size // SLOW)
    text = repeated(folder / "text", unit, size)
    latin = repeated(folder / "latin", text_unit(min(size, UNIT), latin=True), size)
    lines = repeated(folder / "jsonl", jsonl_unit(min(size, UNIT)), size)
    # The suffix is nothing to the readers; igzip and gzip do not care either.
    zipped = members(folder / "gzip", unit, gzip.compress(unit, 6), size)
    warm = unit[: unit.index(b"\n", 4096) + 1]
    (folder / "text.warm").write_bytes(warm)
    (folder / "latin.warm").write_bytes(warm)
    (folder / "gzip.warm").write_bytes(gzip.compress(warm))
    (folder / "jsonl.warm").write_bytes(jsonl_unit(4096))
    return {
        "text": (text, text.stat().st_size),
        "latin": (latin, latin.stat().st_size),
        "small": (small, small.stat().st_size),
        "jsonl": (lines, lines.stat().st_size),
        "gzip": (zipped, size),
    }


def _row(
    bar: Bar, files: dict[str, tuple[Path, int]], *, rounds: int, judged: bool
) -> Row:
    path, size = files[bar.file]
    their_path, their_size = files["small"] if bar.slow else (path, size)
    try:
        raced = race(
            (bar.ours, path),
            (bar.theirs, their_path),
            warm=path.with_suffix(".warm"),
            rounds=rounds,
            scale=size / their_size,
        )
    except Missing as error:
        return Row(
            work=bar.name,
            reference=bar.reference,
            bar=bar_text(bar.at_least),
            measured=f"not measured: {error}",
            met=False if judged and bar.at_least is not None else None,
        )
    return row_of(
        bar.name,
        bar.reference,
        raced,
        bar=bar.at_least,
        judged=judged,
        size=size,
    )
