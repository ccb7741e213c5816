"""`aip ingest`: the main job, from files to a store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import Any

import click

from aip_pipeline._ingestion import Ingestion
from aip_pipeline._report import IngestReport
from aip_pipeline.cli._json_log import json_log
from aip_pipeline.cli._main import BUDGET_SPENT, DEAD_LETTERS, INTERRUPTED, OK
from aip_pipeline.cli._options import (
    Size,
    json_option,
    option,
)
from aip_pipeline.cli._progress import Progress
from aip_pipeline.cli._source_options import settings_of, source_options


@click.command(
    epilog="Run it again at any time: what is stored and unchanged is not read, and "
    "no text is ever embedded twice. Ctrl-C finishes what is in flight; the next run "
    "goes on from there."
)
@click.argument(
    "sources", nargs=-1, required=True, type=click.Path(), metavar="SOURCE..."
)
@source_options
@option(
    "--max-memory",
    type=Size(),
    default="12M",
    help="Bound on text and vectors in flight.",
)
@option("--max-tokens", type=click.IntRange(0), help="Stop before spending more.")
@option("--max-cost", type=click.FloatRange(0), help="Stop before it costs more.")
@click.option("--prune", is_flag=True, help="Forget sources that have vanished.")
@click.option("--yes", is_flag=True, help="Prune also what looks like a mistake.")
@option(
    "--drain",
    type=click.FloatRange(0),
    default=25.0,
    metavar="SECONDS",
    help="Longest wait, after Ctrl-C, for what is in flight.",
)
@option("--log-json", is_flag=True, help="Log to stderr, one JSON object a line.")
@json_option
def command(
    *,
    sources: tuple[str, ...],
    as_json: bool,
    log_json: bool,
    drain: float,
    **given: Any,
) -> int:
    """Read, chunk, embed and store files, folders (recursive) and globs.

    \b
    Examples:
      aip ingest docs README.md
      aip ingest 'logs/*.jsonl.gz' --text-field message
      AIP_API_KEY=... aip ingest docs --embedder openai:text-embedding-3-small
      aip ingest docs --embedder openai:nomic --base-url http://127.0.0.1:8080/v1
    """
    debug = bool(click.get_current_context().find_root().params.get("debug"))
    logging = json_log(wanted=log_json, debug=debug)
    with logging, Progress(quiet=as_json, mute=log_json) as progress:
        report = IngestReport()
        try:
            run = Ingestion(
                sources, settings=settings_of(given), on_dead=progress.dead_letter
            )
            report = run.report
            asyncio.run(_drive(run, progress, drain_s=drain))
        finally:
            if as_json:
                click.echo(json.dumps(report.as_dict()))
    if not as_json:
        progress.summary(run)
    if run.interrupted:
        return INTERRUPTED
    if run.exhausted:
        return BUDGET_SPENT
    return DEAD_LETTERS if report.dead else OK


async def _drive(run: Ingestion, progress: Progress, *, drain_s: float) -> None:
    """Run to the end, or until interrupted; once drains, twice stops."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        assert task is not None, "a coroutine runs in a task"  # noqa: S101  # for mypy
        if run.interrupted:
            task.cancel()
            return
        run.drain()
        loop.call_later(drain_s, task.cancel)
        progress.say("stopping: finishing what is in flight; Ctrl-C again to stop now")

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
