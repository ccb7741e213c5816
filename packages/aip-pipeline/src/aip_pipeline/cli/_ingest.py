"""`aip ingest`: the main job, from files to a store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import Any, get_args

import click

from aip_pipeline._errors import ConfigError
from aip_pipeline._ingest import Ingestion
from aip_pipeline._report import IngestReport
from aip_pipeline._settings import IngestSettings
from aip_pipeline.cli._main import DEAD_LETTERS, INTERRUPTED, OK
from aip_pipeline.cli._options import (
    Concurrency,
    Size,
    json_option,
    option,
    store_option,
)
from aip_pipeline.cli._progress import Progress
from aip_readers import Format

_DEFAULT = IngestSettings()


@click.command(
    epilog="Run it again at any time: what is stored and unchanged is not read, and "
    "no text is ever embedded twice. Ctrl-C finishes what is in flight; the next run "
    "goes on from there."
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@store_option
@option(
    "--embedder",
    default=_DEFAULT.embedder,
    metavar="SPEC",
    help="local (offline, no key), or openai:MODEL.",
)
@option("--base-url", metavar="URL", help="Root of an OpenAI-compatible API.")
@option("--dimensions", type=click.IntRange(1), help="Components of each vector.")
@option(
    "--chunk-size",
    type=click.IntRange(1),
    default=_DEFAULT.chunk_size,
    help="Most characters in one chunk.",
)
@option(
    "--chunk-overlap",
    type=click.IntRange(0),
    default=_DEFAULT.chunk_overlap,
    help="Characters that neighbouring chunks share.",
)
@option(
    "--batch-size",
    type=click.IntRange(1),
    default=_DEFAULT.batch_size,
    help="Most texts in one request.",
)
@option(
    "--concurrency",
    type=Concurrency(),
    default=_DEFAULT.concurrency,
    help="Requests in flight, or adaptive.",
)
@option("--rpm", type=click.IntRange(1), help="Requests a minute the server admits.")
@option("--tpm", type=click.IntRange(1), help="Tokens a minute the server admits.")
@option(
    "--clean",
    type=click.Choice(["nfc", "none"]),
    default=_DEFAULT.clean,
    help="Normalize text and drop control characters, or leave it.",
)
@click.option("--no-fulltext", is_flag=True, help="Keep no full-text index.")
@option(
    "--format",
    type=click.Choice(get_args(Format)),
    default=_DEFAULT.format,
    help="Format of every source.",
)
@option(
    "--text-field",
    default=_DEFAULT.text_field,
    help="Field that holds a record's text.",
)
@option("--id-field", help="Field that names a record.")
@option(
    "--max-memory",
    type=Size(),
    default="12M",
    help="Bound on text and vectors in flight.",
)
@json_option
def command(*, sources: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Read, chunk, embed and store files, folders (recursive) and globs.

    \b
    Examples:
      aip ingest docs README.md
      aip ingest 'logs/*.jsonl.gz' --text-field message
      AIP_API_KEY=... aip ingest docs --embedder openai:text-embedding-3-small
      aip ingest docs --embedder openai:nomic --base-url http://127.0.0.1:8080/v1
    """
    with Progress(quiet=as_json) as progress:
        report = IngestReport()
        try:
            run = Ingestion(
                sources, settings=_settings(given), on_dead=progress.dead_letter
            )
            report = run.report
            interrupted = asyncio.run(_drive(run, progress))
        finally:
            if as_json:
                click.echo(json.dumps(report.as_dict()))
    if not as_json:
        progress.summary(report, store=given["store"], interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return DEAD_LETTERS if report.dead else OK


def _settings(given: dict[str, Any]) -> IngestSettings:
    fields = dict(given)
    fields["max_memory_bytes"] = fields.pop("max_memory")
    fields["fulltext"] = False if fields.pop("no_fulltext") else None
    try:
        return IngestSettings(**fields)
    except ValueError as error:
        raise ConfigError(f"{error}: see `aip ingest --help`") from error


async def _drive(run: Ingestion, progress: Progress) -> bool:
    """Run to the end, or until interrupted; tell whether it was."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if run.interrupted and task is not None:
            task.cancel()
        else:
            run.drain()
            progress.say(
                "stopping: finishing what is in flight; Ctrl-C again to stop now"
            )

    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no signal handlers on its loop; Ctrl-C then stops at once.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, interrupt)
    display = asyncio.create_task(progress.follow(run))
    try:
        await run.run()
    except asyncio.CancelledError:
        if not run.interrupted:
            raise
    finally:
        display.cancel()
    return run.interrupted
