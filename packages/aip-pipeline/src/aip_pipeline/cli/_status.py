"""`aip status`: what a store holds, also while a run goes on."""

from __future__ import annotations

from datetime import datetime

import click

from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option, store_option
from aip_pipeline.cli._printing import print_json, print_line
from aip_pipeline.cli._words import counted
from aip_pipeline.stores import StoreStatus, open_store


@click.command()
@store_option
@json_option
def command(*, store: str, as_json: bool) -> int:
    """Sum up what a store holds; a run may go on meanwhile.

    \b
    Examples:
      aip status
      aip status --json
    """
    with open_store(store, create=False) as opened:
        status = opened.status()
    if as_json:
        print_json(status._asdict())
        return OK
    dimensions = "dimensions not yet known"
    if status.dimensions is not None:
        dimensions = f"{status.dimensions} dimensions"
    print_line(f"{store}: embedder {status.embedder}, {dimensions}")
    begun = "under way" if status.running else "unfinished"
    print_line(
        f"  {counted(status.sources, 'source')} ({status.unfinished:,} {begun}), "
        f"{counted(status.chunks, 'chunk')}, "
        f"{counted(status.embeddings, 'embedding')}, "
        f"{status.dead:,} dead"
    )
    if status.pending:
        print_line(
            f"  of unfinished sources {counted(status.pending, 'chunk')} more; they "
            "answer when these are complete"
        )
    if status.running:
        print_line(f"  an ingest is running{_holder(status)}")
    elif status.unfinished:
        print_line("  an ingest was interrupted: run it again to go on")
    return OK


def _holder(status: StoreStatus) -> str:
    """Name the process that runs, and since when, by the clock on the wall."""
    if status.since is None:
        return ""
    began = datetime.fromisoformat(status.since).astimezone()
    took_s = (datetime.now().astimezone() - began).total_seconds()
    return f": process {status.pid}, since {began:%Y-%m-%d %H:%M:%S} ({took_s:.0f} s)"
