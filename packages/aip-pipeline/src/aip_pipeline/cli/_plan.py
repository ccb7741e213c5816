"""`aip plan`: what ingest would do, before it costs anything."""

from __future__ import annotations

import json
from typing import Any

import click

from aip_pipeline._plan import Plan, plan
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option
from aip_pipeline.cli._source_options import settings_of, source_options
from aip_pipeline.cli._words import counted


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE..."
)
@source_options
@json_option
def command(*, sources: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Tell what `aip ingest` with the same options would do; send nothing.

    Tokens, and what follows from them, are estimated from the length of the texts.

    \b
    Examples:
      aip plan docs README.md
      aip plan docs --embedder openai:text-embedding-3-small --price 0.02 --tpm 1000000
    """
    settings = settings_of(given)
    found = plan(sources, settings=settings)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        _show(found, store=settings.store)
    return OK


def _show(found: Plan, *, store: str) -> None:
    click.echo(
        f"Sources: {found.new:,} new, {found.changed:,} changed, "
        f"{found.unchanged:,} unchanged, {found.vanished:,} vanished from {store}"
    )
    chunks = counted(found.chunks, "chunk")
    click.echo(f"  {chunks}, {counted(found.unreadable, 'unreadable place')}")
    click.echo(
        f"  {counted(found.to_embed, 'text')} to embed: about "
        f"{counted(found.tokens, 'token')} in {counted(found.requests, 'request')}"
    )
    if found.seconds is not None:
        click.echo(f"  at least {found.seconds:,.0f} s at the limits given")
    if found.cost is not None:
        click.echo(f"  about {found.cost:,.4f} at the price given")
    click.echo("Nothing was sent. Do it: aip ingest, with the same arguments.")
