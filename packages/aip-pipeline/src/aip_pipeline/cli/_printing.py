"""All that `aip` prints: what comes from outside cannot command the terminal."""

from __future__ import annotations

import json

import click

from aip_pipeline._escaping import as_shown


def print_line(text: str, *, bold: str = "", err: bool = False) -> None:
    """Print one line for people, *bold* first; control characters are escaped.

    Names, texts and what a server says may hold line ends, escape sequences and
    writing turned round; a line stays one line, whatever is in it.
    """
    begun = click.style(as_shown(bold), bold=True) if bold else ""
    click.echo(begun + as_shown(text), err=err)


def print_text(text: str) -> None:
    """Print a text with its lines and tabs; other control characters are escaped."""
    click.echo(as_shown(text, keep="\n\t"))


def print_json(value: object) -> None:
    """Print one line of JSON, which escapes by itself all but ASCII."""
    click.echo(json.dumps(value))
