"""`aip verify`: the store against itself, and a mirror against the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import click

from aip_pipeline._errors import MirrorError
from aip_pipeline._verify import verify
from aip_pipeline.cli._main import FAILED, OK
from aip_pipeline.cli._options import json_lines_option, mirror_option, store_option
from aip_pipeline.cli._printing import print_json, print_line
from aip_pipeline.cli._words import counted
from aip_pipeline.stores import Fault


@click.command(
    epilog="Exit codes: 0 all agrees, or --repair mended it; 1 a fault is left, which "
    "needs --repair, a new ingest or a backup, or the mirror could not be compared."
)
@store_option
@mirror_option
@click.option("--repair", is_flag=True, help="Mend what can be, without embedding.")
@click.option(
    "--yes", is_flag=True, help="Delete from the mirror also what looks like a mistake."
)
@json_lines_option
def command(
    *, store: str, mirror: str | None, repair: bool, yes: bool, as_json: bool
) -> int:
    """Check that all in a store agrees, and a mirror with it; a fault is one line.

    Checked are the file, the full text, rows that nobody owns, the length and numbers
    of each vector, each text against its hash, the counts of each source, and the
    canaries. A repair costs no embedding; a source that must be ingested again is
    marked, and answers as before until that is done.

    A mirror is compared when the store agrees with itself: rows that it lacks, rows
    that the store does not hold, and each vector and metadata. A repair sends and
    deletes what it takes; more than a fifth of the mirror is deleted only with --yes.

    \b
    Examples:
      aip verify
      aip verify --repair
      aip verify --json
    """
    found: Counter[str] = Counter()
    with _summed_up(found, store=store, mirror=mirror, quiet=as_json):
        for fault in verify(store, repair=repair, mirror=mirror, yes=yes):
            found[_end_of(fault)] += 1
            if as_json:
                print_json(fault._asdict())
            else:
                print_line(_line(fault, repair=repair))
    return FAILED if found["marked"] or found["left"] else OK


@contextmanager
def _summed_up(
    found: Counter[str], *, store: str, mirror: str | None, quiet: bool
) -> Iterator[None]:
    """Print the last line, also where the mirror could not be compared to the end."""
    both = f"{store} and {mirror}" if mirror else store
    try:
        yield
    except MirrorError:
        if found and not quiet:
            print_line(f"{both}: {_summary(found)}")
        raise
    if not quiet:
        print_line(f"{both}: {_summary(found)}")


def _end_of(fault: Fault) -> str:
    """Say what became of a fault: whether it is mended, marked or left."""
    if not fault.mended:
        return "left"
    return "marked" if fault.remedy == "ingest" else "mended"


def _line(fault: Fault, *, repair: bool) -> str:
    """Write a fault, and what to do, which is no repair where that was tried."""
    if fault.remedy == "restore":
        todo = "restore a backup, or ingest into a new store"
    elif fault.remedy == "repair":
        left = "not mended" if repair else "mend it with --repair"
        todo = "mended" if fault.mended else left
    else:
        todo = "ingest the source again"
        if not fault.mended and not repair:
            todo = f"mark it with --repair, then {todo}"
    return f"{fault.check}: {fault.where}: {fault.what}: {todo}"


def _summary(found: Counter[str]) -> str:
    if not found:
        return "all agrees"
    marked = found["marked"]
    more = f", {marked:,} marked for a new ingest" if marked else ""
    return f"{counted(found.total(), 'fault')}, {found['mended']:,} mended{more}"
