"""`aip status`: what a store holds, also while a run goes on."""

from __future__ import annotations

import json

import click

from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option, store_option
from aip_pipeline.cli._words import counted
from aip_pipeline.stores import open_store


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
        click.echo(json.dumps(status._asdict()))
        return OK
    click.echo(f"{store}: embedder {status.embedder}, {status.dimensions} dimensions")
    click.echo(
        f"  {counted(status.sources, 'source')} ({status.unfinished:,} unfinished), "
        f"{counted(status.chunks, 'chunk')}, "
        f"{counted(status.embeddings, 'embedding')}, "
        f"{status.dead:,} dead"
    )
    if status.pending:
        click.echo(
            f"  of unfinished sources {counted(status.pending, 'chunk')} more; they "
            "answer when these are complete"
        )
    if status.running:
        click.echo("  an ingest is running")
    elif status.unfinished:
        click.echo("  an ingest was interrupted: run it again to go on")
    return OK
