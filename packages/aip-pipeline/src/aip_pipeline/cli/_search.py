"""`aip search`: passages with the place they came from."""

from __future__ import annotations

import asyncio
import json
import textwrap

import click

from aip_pipeline._search import Mode, search
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option, option, store_option
from aip_pipeline.stores import Hit, open_store

SHOWN_CHARACTERS = 320


@click.command()
@click.argument("query")
@store_option
@option("--k", "-k", type=click.IntRange(1), default=10, help="Most passages shown.")
@option(
    "--mode",
    type=click.Choice(["hybrid", "vector", "lexical"]),
    default="hybrid",
    help="Rank by meaning, by words, or by both.",
)
@json_option
def command(*, query: str, store: str, k: int, mode: Mode, as_json: bool) -> int:
    """Find the stored passages that answer QUERY, best first.

    \b
    Examples:
      aip search "how is a killed run resumed"
      aip search "Retry-After" --mode lexical -k 3 --json
    """
    found = asyncio.run(search(query, store=store, k=k, mode=mode))
    if as_json:
        click.echo(json.dumps([hit._asdict() for hit in found]))
        return OK
    for rank, hit in enumerate(found, start=1):
        _show(rank, hit)
    if not found:
        click.echo(_why_nothing(store), err=True)
    return OK


def _why_nothing(store: str) -> str:
    with open_store(store, create=False) as opened:
        unfinished = opened.status().unfinished
    if unfinished:
        return (
            f"No passage found; {unfinished} sources are unfinished and answer when "
            "they are complete: run the same aip ingest again."
        )
    return "No passage found: try other words, or --mode vector."


def _show(rank: int, hit: Hit) -> None:
    place = f"{hit.source}:{hit.line}"
    click.secho(f"{rank:2}. {place}", bold=True, nl=False)
    click.echo(f"  bytes {hit.start}-{hit.end}  score {hit.score:.4f}")
    text = textwrap.shorten(hit.text, SHOWN_CHARACTERS, placeholder=" ...")
    click.echo(textwrap.indent(textwrap.fill(text, 80), "    "))
