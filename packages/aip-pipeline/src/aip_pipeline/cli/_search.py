"""`aip search`: passages with the place they came from."""

from __future__ import annotations

import asyncio
import textwrap

import click

from aip_pipeline._search import Mode, search
from aip_pipeline.cli._excerpt import excerpt
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option, option, store_option
from aip_pipeline.cli._printing import print_json, print_line
from aip_pipeline.stores import Hit, open_store

SHOWN_CHARACTERS = 320
WIDTH = 80
SMALL_SCORE = 0.01  # of which four decimals show less than three digits


@click.command()
@click.argument("query")
@store_option
@option("--k", "-k", type=click.IntRange(1), default=10, help="Most passages shown.")
@option(
    "--mode",
    type=click.Choice(["hybrid", "vector", "lexical"]),
    default="hybrid",
    help="Rank by meaning and words, by meaning (vector), or by words (lexical).",
)
@json_option
def command(*, query: str, store: str, k: int, mode: Mode, as_json: bool) -> int:
    """Find the stored passages that answer QUERY, best first.

    A passage has its file, the line and the bytes it came from, start to end, and a
    score. The bytes of a compressed file are those of its content once decompressed.

    Higher scores are better, within one search: hybrid, 1/(60 + rank) summed over both
    rankings, 0.0328 at most; vector, the cosine, 1 at most; lexical, BM25, without a
    bound. Shown is the part that has most of the query's words, or the beginning.

    \b
    Examples:
      aip search "how is a killed run resumed"
      aip search "Retry-After" --mode lexical -k 3 --json
    """
    found = asyncio.run(search(query, store=store, k=k, mode=mode))
    if as_json:
        print_json([hit._asdict() for hit in found])
    else:
        for rank, hit in enumerate(found, start=1):
            _show(rank, hit, query)
    if not found:
        print_line(f"aip: nothing found: {_why_nothing(store)}", err=True)
    return OK


def _why_nothing(store: str) -> str:
    with open_store(store, create=False) as opened:
        status = opened.status()
    if status.unfinished:
        are = "source is" if status.unfinished == 1 else "sources are"
        return (
            f"{status.unfinished} {are} unfinished and will answer once complete: run "
            "the same aip ingest again"
        )
    if not status.chunks:
        return f"{store} holds no passage yet: run aip ingest on something to read"
    return "try other words, or --mode vector"


def _show(rank: int, hit: Hit, query: str) -> None:
    print_line(
        f"  bytes {hit.start}-{hit.end}  score {_written(hit.score)}",
        bold=f"{rank:2}. {hit.source}:{hit.line}",
    )
    text = excerpt(hit.text, query, size=SHOWN_CHARACTERS)
    for line in textwrap.wrap(text, WIDTH):
        print_line(f"    {line}")


def _written(score: float) -> str:
    """Write a score in four decimals, or, where these would hide it, in more.

    >>> _written(0.03278), _written(-0.5), _written(1.2e-06), _written(0.0)
    ('0.0328', '-0.5000', '1.2e-06', '0.0000')
    """
    small = 0 < abs(score) < SMALL_SCORE
    return f"{score:.3g}" if small else f"{score:.4f}"
