"""`aip dead`: what could not be stored, and another try."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import click

from aip_pipeline._errors import ConfigError
from aip_pipeline.cli._main import DEAD_LETTERS, OK
from aip_pipeline.cli._options import (
    json_lines_option,
    json_option,
    option,
    store_option,
)
from aip_pipeline.cli._printing import print_json, print_line, print_text
from aip_pipeline.cli._progress import LettersShown, describe
from aip_pipeline.stores import DeadLetter, open_store


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """See what could not be stored, and why; try it again.

    \b
    Examples:
      aip dead list
      aip dead show 1
      aip dead retry
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("list", short_help="List what is dead, and why.")
@store_option
@json_lines_option
def list_letters(*, store: str, as_json: bool) -> int:
    """List every dead letter: its id, source, byte offset, and the reason.

    An id holds until its source is ingested or retried again. With --json each letter
    is one line of JSON, and none is no line: the list may be longer than memory.

    \b
    Examples:
      aip dead list
      aip dead list --json
    """
    with open_store(store, create=False) as opened:
        for letter in opened.dead_letters():
            if as_json:
                print_json(letter._asdict())
            else:
                print_line(f"{letter.id}: {describe(letter)}")
    return OK


@command.command("show", short_help="Show one dead letter whole.")
@click.argument("number", type=click.IntRange(1), metavar="ID")
@store_option
@json_option
def show_letter(*, number: int, store: str, as_json: bool) -> int:
    """Show one dead letter whole, its text included.

    \b
    Examples:
      aip dead show 1
      aip dead show 1 --json
    """
    with open_store(store, create=False) as opened:
        letter = opened.dead_letter(number)
    if letter is None:
        raise ConfigError(f"no dead letter {number} in {store}: see `aip dead list`")
    if as_json:
        print_json(letter._asdict())
    else:
        _show(letter)
    return OK


def _show(letter: DeadLetter) -> None:
    end = "?" if letter.end is None else letter.end
    line = "" if letter.line is None else f" (line {letter.line})"
    print_line(f"source    {letter.source}{line}")
    print_line(f"bytes     {letter.start}-{end}")
    print_line(f"reason    {letter.reason}")
    print_line(f"attempts  {letter.attempts}")
    if letter.metadata:
        print_line(f"metadata  {json.dumps(letter.metadata, ensure_ascii=False)}")
    print_line("text      " + ("could not be read" if letter.text is None else ""))
    if letter.text is not None:
        print_text(letter.text)


@command.command(
    "retry",
    epilog="Exit codes: 0 all are stored now; 3 some are still dead; 1 the embedder or "
    "the store failed, and what was stored stays stored; 2 no such dead letter.",
)
@click.argument("numbers", type=click.IntRange(1), nargs=-1, metavar="[ID]...")
@store_option
@option("--base-url", metavar="URL", help="Where the server's API is now.")
@json_option
def retry_letters(
    *, numbers: tuple[int, ...], store: str, base_url: str | None, as_json: bool
) -> int:
    """Try dead letters again: those named by ID, or all.

    A text that was refused is embedded again, by the embedder that made the store,
    and stored if it is accepted now. What could not be read is read again by the
    next ingest of its source.

    \b
    Examples:
      aip dead retry
      aip dead retry 1
    """
    from aip_pipeline._retry import retry_dead  # noqa: PLC0415  # list is light

    report = asyncio.run(
        retry_dead(numbers, store=store, base_url=base_url, on_left=_left())
    )
    if as_json:
        print_json(report.as_dict())
    else:
        print_line(
            f"Retried {report.retried:,} = stored {report.stored:,} + refused again "
            f"{report.refused:,} + to be read again {report.to_read_again:,}"
        )
        if report.to_read_again:
            print_line(
                "What could not be read has no text to retry: mend it, then run "
                "`aip ingest` on its source, which reads it again."
            )
    return OK if report.stored == report.retried else DEAD_LETTERS


def _left() -> Callable[[DeadLetter], None]:
    """Return what names the letters that are left, no more of them than an ingest."""
    unread = "not retried, for it could not be read; mend it, then ingest it again"
    shown = LettersShown()

    def tell(letter: DeadLetter) -> None:
        why = unread if letter.text is None else "refused again"
        if told := shown.told(letter):
            print_line(f"aip: {why}: {told}", err=True)

    return tell
