"""What a person sees of a run: progress on a terminal, then a summary."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aip_pipeline._escaping import as_shown
from aip_pipeline._headway import Headway, bytes_to_read
from aip_pipeline.cli._outcome import stopped_by_budget
from aip_pipeline.cli._printing import print_line
from aip_pipeline.cli._words import counted, how_to_go_on, passed_over
from aip_pipeline.stores import DeadLetter

if TYPE_CHECKING:
    from rich.status import Status

    from aip_pipeline._ingestion import Ingestion

REFRESH_S = 0.1
LONG_S = 10.0
MAX_LETTERS_SHOWN = 200
MAX_ALIKE_SHOWN = 3


class LettersShown:
    """Name dead letters up to a bound, and no reason of a source too often."""

    def __init__(self) -> None:
        self._shown = 0
        self._source = ""  # of the last letter, and how often it gave which reason
        self._reasons: Counter[str] = Counter()

    def told(self, letter: DeadLetter) -> str | None:
        """Return what to say of a letter; None where enough was said."""
        if self._shown > MAX_LETTERS_SHOWN:
            return None
        if letter.source != self._source:
            self._source, self._reasons = letter.source, Counter()
        self._reasons[letter.reason] += 1
        alike = self._reasons[letter.reason]
        if alike > MAX_ALIKE_SHOWN + 1:
            return None
        self._shown += 1
        if self._shown > MAX_LETTERS_SHOWN:
            return "... and more: see `aip dead list`"
        if alike > MAX_ALIKE_SHOWN:
            return f"... and more in {letter.source}: {letter.reason}"
        return describe(letter)


class Progress:
    """Show a run on stderr; only a terminal sees it move.

    Args:
        quiet: show no progress and no summary; dead letters and errors are still told.
        mute: show nothing on stderr, where the log goes.
    """

    def __init__(self, *, quiet: bool, mute: bool = False) -> None:
        self._moving = sys.stderr.isatty() and not quiet and not mute
        self._mute = mute
        self._status: Status | None = None
        self._letters = LettersShown()

    def __enter__(self) -> Self:
        """Start the display."""
        if self._moving:
            from rich.console import Console  # noqa: PLC0415  # only a terminal needs it

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the display."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def say(self, sentence: str) -> None:
        """Print one line, above the moving part."""
        if self._mute:
            return
        if self._status is not None:
            self._status.console.print(
                as_shown(f"aip: {sentence}"),
                highlight=False,
                markup=False,
                emoji=False,
            )
        else:
            print_line(f"aip: {sentence}", err=True)

    def leave(self, code: int) -> None:
        """End the process now; what is stored is whole, the rest was not begun."""
        self.say("stopped: an input did not end; run the same command again to go on")
        self.__exit__(None, None, None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def dead_letter(self, letter: DeadLetter) -> None:
        """Name what could not be stored, up to a bound, and no reason too often."""
        if told := self._letters.told(letter):
            self.say(f"dead: {told}")

    async def follow(self, run: Ingestion) -> None:
        """Refresh the display until cancelled."""
        if self._status is None:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        ended = threading.Event()
        counting = asyncio.create_task(
            asyncio.to_thread(bytes_to_read, run.sources, stop=ended.is_set)
        )
        try:
            await self._refresh(run, counting, started=started)
        finally:
            ended.set()

    async def _refresh(
        self, run: Ingestion, counting: asyncio.Task[int | None], *, started: float
    ) -> None:
        loop = asyncio.get_running_loop()
        headway, down_at = Headway(), math.inf
        while self._status is not None:
            now = loop.time()
            sample = run.sample(now)
            down_at = min(down_at, now) if sample.outage else math.inf
            report = run.report
            dead = f", {report.dead:,} dead" if report.dead else ""
            stored = counted(report.stored + report.unchanged, "chunk")
            outlook = _outlook(
                headway.told(
                    at_s=now,
                    durable_bytes=_durable_bytes(run),
                    total_bytes=counting.result() if counting.done() else None,
                ),
                stopping=run.interrupted or run.exhausted,
                down_s=now - down_at,
                refused_s=sample.refused_s,
            )
            rate = f"{report.stored / max(now - started, 0.001):,.0f}/s"
            pace = f", {rate}; waiting on {run.waits_for}"
            if sample.outage or sample.refused_s >= LONG_S:
                pace = ""
            # One line of a narrow terminal, as a rule.
            self._status.update(f"{outlook}{stored} stored{dead}{pace}")
            await asyncio.sleep(REFRESH_S)

    def summary(self, run: Ingestion) -> None:
        """Print what was done, on stdout."""
        report, store = run.report, run.settings.store
        ended = "Interrupted" if run.interrupted else "Done"
        budget = f"Stopped by the budget of {run.settings.budget}"
        ended = budget if run.exhausted else ended
        print_line(
            f"{ended}: {counted(report.sources, 'source')} of this run, with "
            f"{counted(report.stored + report.unchanged, 'chunk')} in {store}, "
            f"after {report.seconds:.1f} s"
        )
        print_line(
            f"  read {report.read:,} = stored {report.stored:,} + unchanged "
            f"{report.unchanged:,} + filtered {report.filtered:,} + dead "
            f"{report.dead:,}"
        )
        print_line(
            f"  embedded {counted(report.embedded, 'text')} "
            f"({counted(report.tokens, 'token')}), reused {report.reused:,}; "
            f"{counted(report.requests, 'request')}, {counted(report.retries, 'retry')}"
        )
        print_line(
            f"  peak memory {report.peak_memory_bytes / 1e6:.0f} MB; bottleneck: "
            f"{report.bottleneck}"
        )
        if report.mirrored:
            print_line(f"  the mirror took {counted(report.mirrored, 'row')}")
        if run.unknown:
            print_line(f"  {passed_over(run.unknown)}")
        _tell_vanished(run)
        print_line(_next_step(run))


def _outlook(told: str, *, stopping: bool, down_s: float, refused_s: float) -> str:
    """Say what comes next; no rate and no time left mean anything in an outage.

    >>> _outlook("25 %, about 30 s left", stopping=False, down_s=12.3, refused_s=0)
    'server down for 12 s, probing; '
    >>> _outlook("", stopping=False, down_s=-math.inf, refused_s=31.2)
    'server has refused every request for 31 s, waiting as it asks; '
    """
    if stopping:
        told = "stopping"
    elif down_s >= 0:
        told = f"server down for {down_s:.0f} s, probing"
    elif refused_s >= LONG_S:
        told = f"server has refused every request for {refused_s:.0f} s"
        told += ", waiting as it asks"
    return told and f"{told}; "


def _durable_bytes(run: Ingestion) -> float:
    """Return how much of what was read is stored by now; chunks are of like size."""
    accepted = run.accepted
    return run.read_bytes * run.report.read / accepted if accepted else 0.0


def _tell_vanished(run: Ingestion) -> None:
    if run.removed:
        print_line(
            f"  removed {counted(run.report.deleted, 'chunk')} of vanished sources"
        )
    elif run.vanished.vanished:
        hint = "" if run.settings.prune else " (--prune removes what has vanished)"
        print_line(f"  vanished, and {run.vanished.state}: {run.vanished.told()}{hint}")


def _next_step(run: Ingestion) -> str:
    store = run.settings.store
    where = "" if store == "sqlite:///aip.db" else f" --store {store}"
    if run.exhausted and run.spending.first_tokens:
        said = stopped_by_budget(run)
        return f"{said[0].upper()}{said[1:]}: raise it, or lower --chunk-size."
    if run.interrupted or run.exhausted:
        told = how_to_go_on(run)
        return f"{told[0].upper()}{told[1:]}."
    if run.report.dead:
        return f"What could not be stored: aip dead list{where}"
    if run.report.read:
        return f'Next: aip search "your question"{where}'
    if run.report.sources:
        return "Nothing was stored: what was read holds no text."
    why = "to read there: no file with a suffix that aip knows"
    return f"Nothing {'else was to be read' if run.removed else why}."


def describe(letter: DeadLetter) -> str:
    """Say where a dead letter stands and why it is dead."""
    line = "" if letter.line is None else f" (line {letter.line})"
    return f"{letter.source} at byte {letter.start}{line}: {letter.reason}"
