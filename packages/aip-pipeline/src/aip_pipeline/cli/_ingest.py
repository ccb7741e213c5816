"""`aip ingest`: the main job, from files to a store."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aip_pipeline._errors import ConfigError, MirrorError, PipelineError, PruneRefused
from aip_pipeline._ingestion import Ingestion
from aip_pipeline._mirroring import MIRROR_IS_DOWN
from aip_pipeline._report import IngestReport
from aip_pipeline.cli._json_log import json_log
from aip_pipeline.cli._main import INTERRUPTED, fail
from aip_pipeline.cli._options import (
    Duration,
    Size,
    json_option,
    mirror_option,
    option,
)
from aip_pipeline.cli._outcome import (
    CUT_SHORT,
    JsonReport,
    ended,
    failed,
    print_report,
)
from aip_pipeline.cli._progress import Progress
from aip_pipeline.cli._report_file import ReportFile
from aip_pipeline.cli._source_options import settings_of, source_options
from aip_pipeline.stores import DeadLetter

STOP_WITHIN_S = 3.0  # for the writer to end its transaction


class _Ingest(click.Command):
    """Print the JSON object also where a settings file ends the run before it begins.

    `main` does the same for wrong usage.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, the environment and the settings file."""
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except ConfigError as error:
            if as_json:
                print_report(IngestReport(), failed(error))
            raise


@click.command(
    cls=_Ingest,
    epilog="Run it again at any time: what is stored and unchanged is not read, and "
    "no text is ever embedded twice. Ctrl-C finishes what is in flight; the next run "
    "goes on from there.",
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
@mirror_option
@click.option("--prune", is_flag=True, help="Forget sources that have vanished.")
@click.option("--yes", is_flag=True, help="Prune also what looks like a mistake.")
@option(
    "--drain",
    type=Duration(0),
    default=25.0,
    metavar="SECONDS",
    help="Longest wait, after Ctrl-C, for what is in flight.",
)
@option(
    "--deadline",
    type=Duration(0, min_open=True),
    default=600.0,
    metavar="SECONDS",
    help="Longest time, such as 10m, for one request and all its waits: for a server "
    "that went away, or that asks to wait longer.",
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

    Of a folder, files of known suffixes are read, none that is hidden; a file that is
    named is read whatever its suffix. `-` is JSONL on standard input.

    \b
    Examples:
      aip ingest docs README.md
      aip ingest 'logs/*.jsonl.gz' --text-field message
      aip ingest docs --report report.html
      AIP_API_KEY=... aip ingest docs --embedder openai:text-embedding-3-small
      aip ingest docs --embedder openai:nomic --base-url http://127.0.0.1:8080/v1
      aip ingest docs --embedder openai:nomic --mirror pinecone:https://INDEX-HOST
    """
    # Vectors are carried here, never multiplied: numpy's threads would only spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    debug = bool(click.get_current_context().find_root().params.get("debug"))
    logging = json_log(wanted=log_json, debug=debug)
    told, progress = JsonReport(wanted=as_json), Progress(quiet=as_json, mute=log_json)
    with logging, told, progress:
        file = ReportFile(report)
        run = Ingestion(
            sources,
            settings=settings_of(given),
            on_dead=_each(progress.dead_letter, file.recorder.dead_letter),
        )
        told.report = run.report
        stopper = _Stopper(run, progress, file=file, drain_s=drain, as_json=as_json)
        refused = _ended(run, progress, file=file, stopper=stopper)
        told.end = ended(run, refused, cut_short=stopper.stopped)
    if not as_json:
        progress.summary(run)
    if refused is None:
        return told.end.code
    if run.interrupted or run.exhausted:
        return fail(str(refused), code=told.end.code)
    raise refused


def _each(*callbacks: Callable[[DeadLetter], None]) -> Callable[[DeadLetter], None]:
    def call(letter: DeadLetter) -> None:
        for callback in callbacks:
            callback(letter)

    return call


def _ended(
    run: Ingestion, progress: Progress, *, file: ReportFile, stopper: _Stopper
) -> PipelineError | None:
    """Run to the end; return what was refused there, when all else was done."""
    try:
        with file.written_of(run):
            asyncio.run(_drive(run, progress, file=file, stopper=stopper))
    except (PruneRefused, MirrorError) as refused:
        return refused
    return None


async def _drive(
    run: Ingestion, progress: Progress, *, file: ReportFile, stopper: _Stopper
) -> None:
    """Run to the end, or until interrupted."""
    stopper.listen()
    watching = [asyncio.create_task(progress.follow(run))]
    if file.wanted:
        watching.append(asyncio.create_task(file.recorder.follow(run)))
    try:
        await run.run()
    except asyncio.CancelledError:
        if not run.interrupted:
            raise
    finally:
        for task in watching:
            task.cancel()


class _Stopper:
    """Obey signals: the first drains, the second stops, and a deadline does too.

    Attributes:
        stopped: whether the run was stopped before all in flight was stored.
    """

    def __init__(
        self,
        run: Ingestion,
        progress: Progress,
        *,
        file: ReportFile,
        drain_s: float,
        as_json: bool,
    ) -> None:
        self._run = run
        self._progress = progress
        self._file = file
        self._drain_s = drain_s
        self._as_json = as_json
        self._task: asyncio.Task[None] | None = None
        self.stopped = False

    def listen(self) -> None:
        """Take the signals of the running task's loop."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            return  # its loops take no signal handlers: Ctrl-C stops at once
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)

    def _interrupt(self) -> None:
        if self._run.interrupted:
            self._stop()
            return
        self._run.drain()
        asyncio.get_running_loop().call_later(self._drain_s, self._stop)
        self._progress.say(f"stopping: {_what_is_awaited(self._run)}")

    def _stop(self) -> None:
        self.stopped = True
        if self._task is not None:
            self._task.cancel()
        asyncio.get_running_loop().call_later(STOP_WITHIN_S, self._leave)

    def _leave(self) -> None:
        """End the process: a thread that a remote input holds cannot be ended."""
        self._run.conclude("interrupted")
        try:
            self._file.write(self._run)
        except PipelineError as error:
            self._progress.say(str(error))
        if self._as_json:
            print_report(self._run.report, CUT_SHORT)
        self._progress.leave(INTERRUPTED)


def _what_is_awaited(run: Ingestion) -> str:
    """Say what a run that is to end still waits for."""
    if run.waits_for == MIRROR_IS_DOWN:
        down = "all that was read is stored, but the mirror is down"
    elif run.sample(0.0).outage:
        down = "the server is down"
    elif run.sends:
        return "storing what was read; Ctrl-C again to stop now"
    else:
        return "finishing what is in flight; Ctrl-C again to stop now"
    return (
        f"{down}, so only an answer that is on its way is waited for; run the same "
        "command again to go on"
    )
