"""`aip dead`: what could not be stored."""

from __future__ import annotations

import json

import click

from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import json_option, store_option
from aip_pipeline.cli._progress import describe
from aip_pipeline.stores import open_store


@click.group()
def command() -> None:
    """See what could not be stored, and why."""


@command.command("list")
@store_option
@json_option
def list_letters(*, store: str, as_json: bool) -> int:
    """List every dead letter: its source, its byte offset, the reason."""
    with open_store(store, create=False) as opened:
        for letter in opened.dead_letters():
            if as_json:
                click.echo(json.dumps(letter._asdict()))
            else:
                click.echo(describe(letter))
    return OK
