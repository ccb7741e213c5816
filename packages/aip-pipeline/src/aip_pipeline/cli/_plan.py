"""`aip plan`: what ingest would do, before it costs anything."""

from __future__ import annotations

from typing import Any

import click

from aip_pipeline._plan import Plan, plan
from aip_pipeline._settings import IngestSettings
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option
from aip_pipeline.cli._printing import print_json, print_line
from aip_pipeline.cli._source_options import settings_of, source_options
from aip_pipeline.cli._words import counted, passed_over


@click.command()
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE..."
)
@source_options
@json_option
def command(*, sources: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Tell what `aip ingest` with the same options would do; send nothing.

    Tokens, and what follows from them, are estimated from the kinds of characters in
    the texts, as OpenAI's embedding models count (cl100k_base): within 25 % for most
    languages, code, JSON and logs. Another server may count otherwise; what it counted
    is in the summary of `aip ingest`.

    \b
    Examples:
      aip plan docs README.md
      aip plan docs --embedder openai:text-embedding-3-small --price 0.02 --tpm 1000000
      aip plan docs --embedder openai:text-embedding-3-small --max-tokens 100000
    """
    settings = settings_of(given)
    found = plan(sources, settings=settings)
    if as_json:
        print_json(found.as_dict())
    else:
        _show(found, settings)
    return OK


def _show(found: Plan, settings: IngestSettings) -> None:
    print_line(
        f"Sources: {found.new:,} new, {found.changed:,} changed, "
        f"{found.unchanged:,} unchanged, {found.vanished:,} vanished from "
        f"{settings.store}"
    )
    chunks = counted(found.chunks - found.unreadable - found.dead, "chunk")
    dead = f", {counted(found.dead, 'dead letter')} of before" if found.dead else ""
    print_line(f"  {chunks}, {counted(found.unreadable, 'unreadable place')}{dead}")
    if found.passed_over:
        print_line(f"  {passed_over(found.passed_over)}")
    _show_cost(found, settings)
    if not found.new + found.changed + found.unchanged + found.unreadable:
        print_line("Nothing to read there: no file with a suffix that aip knows.")
    elif not found.new + found.changed:
        print_line(f"Nothing was sent, and nothing needs to be: {_stored(found)}.")
    else:
        print_line("Nothing was sent. Do it: aip ingest, with the same arguments.")


def _show_cost(found: Plan, settings: IngestSettings) -> None:
    if not found.to_embed:
        print_line("  0 texts to embed")
        return
    print_line(
        f"  {counted(found.to_embed, 'text')} to embed: about "
        f"{counted(found.tokens, 'token')} (an estimate) in "
        f"{counted(found.requests, 'request')}"
    )
    if found.seconds is not None:
        print_line(f"  at least {found.seconds:,.0f} s at the limits given")
    if found.cost is not None:
        print_line(f"  about {found.cost:,.4f} at the price given")
    if found.budget is not None:
        limit = counted(settings.token_limit() or 0, "token")
        print_line(f"  the budget of {limit} {_BUDGET[found.budget]}")


def _stored(found: Plan) -> str:
    left = [(found.dead, "dead letter"), (found.unreadable, "unreadable place")]
    but = " and ".join(counted(number, noun) for number, noun in left if number)
    return f"all is stored but {but} (aip dead list)" if but else "all is stored"


_BUDGET = {
    "enough": "is enough",
    "unsure": "may stop the run before its end (exit code 4, resumable): what texts "
    "cost is only known once they are embedded",
    "too small": "would stop the run before its end (exit code 4, resumable)",
}
