"""`aip ingest`: the main job, from files to a store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
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
from aip_pipeline.cli._report_file import ReportFile
from aip_pipeline.cli._source_options import settings_of, source_options
from aip_pipeline.stores import DeadLetter


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
    default="8M",
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
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a page with plots, costs and what was skipped.",
)
@option("--log-json", is_flag=True, help="Log to stderr, one JSON object a line.")
@json_option
def command(
    *,
    sources: tuple[str, ...],
    as_json: bool,
    log_json: bool,
    report: Path | None,
    drain: float,
    **given: Any,
) -> int:
    """Read, chunk, embed and store files, folders (recursive) and globs.

    \b
    Examples:
      aip ingest docs README.md
      aip ingest 'logs/*.jsonl.gz' --text-field message
      aip ingest docs --report report.html
      AIP_API_KEY=... aip ingest docs --embedder openai:text-embedding-3-small
      aip ingest docs --embedder openai:nomic --base-url http://127.0.0.1:8080/v1
    """
    debug = bool(click.get_current_context().find_root().params.get("debug"))
    logging = json_log(wanted=log_json, debug=debug)
    with logging, Progress(quiet=as_json, mute=log_json) as progress:
        counted = IngestReport()
        try:
            file = ReportFile(report)
            run = Ingestion(
                sources,
                settings=settings_of(given),
                on_dead=_each(progress.dead_letter, file.recorder.dead_letter),
            )
            counted = run.report
            with file.written_of(run):
                asyncio.run(_drive(run, progress, drain_s=drain, file=file))
        finally:
            if as_json:
                click.echo(json.dumps(counted.as_dict()))
    if not as_json:
        progress.summary(run)
    if run.interrupted:
        return INTERRUPTED
    if run.exhausted:
        return BUDGET_SPENT
    return DEAD_LETTERS if counted.dead else OK


def _each(*callbacks: Callable[[DeadLetter], None]) -> Callable[[DeadLetter], None]:
    def call(letter: DeadLetter) -> None:
        for callback in callbacks:
            callback(letter)

    return call


async def _drive(
    run: Ingestion, progress: Progress, *, drain_s: float, file: ReportFile
) -> None:
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
    watching = [asyncio.create_task(progress.follow(run))]
    if file.wanted:
        watching.append(asyncio.create_task(file.recorder.follow(run)))
    try:
        await run.run()
    except asyncio.CancelledError:
        if not run.interrupted:
            raise
    finally:
        for task_watching in watching:
            task_watching.cancel()
