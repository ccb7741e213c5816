"""How a run ended: its exit code, and the same in words for `--json`."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import click

from aip_pipeline._errors import PipelineError
from aip_pipeline._report import IngestReport
from aip_pipeline.cli._main import (
    BUDGET_SPENT,
    DEAD_LETTERS,
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
)
from aip_pipeline.cli._printing import print_json
from aip_pipeline.cli._words import counted, how_to_go_on

if TYPE_CHECKING:
    from aip_pipeline._ingestion import Ingestion

_OUTCOMES: Final = {
    OK: "complete",
    FAILED: "failed",
    USAGE: "refused",
    DEAD_LETTERS: "partial",
    BUDGET_SPENT: "stopped",
    INTERRUPTED: "drained",
}
_CUT_SHORT: Final = "interrupted"


class Ended(NamedTuple):
    """Say how a run ended: its exit code, and why, where it is not 0."""

    code: int
    reason: str | None = None
    cut_short: bool = False

    @property
    def outcome(self) -> str:
        """The exit code in a word; 130 has two, for what was in flight may be lost."""
        return _CUT_SHORT if self.cut_short else _OUTCOMES[self.code]


CUT_SHORT: Final = Ended(
    INTERRUPTED, "interrupted; what was in flight was not waited for", cut_short=True
)


def ended(run: Ingestion, refused: PipelineError | None, *, cut_short: bool) -> Ended:
    """Say how a run ended; that it was ended early goes before what it left."""
    more = f"; {how_to_go_on(run)}" if run.interrupted and run.cut_off else ""
    more += "" if refused is None else f"; besides, {refused}"
    if cut_short:
        return CUT_SHORT._replace(reason=f"{CUT_SHORT.reason}{more}")
    if run.interrupted:
        told = "interrupted; what was in flight is stored"
        return Ended(INTERRUPTED, told + more)
    if run.exhausted:
        return Ended(BUDGET_SPENT, stopped_by_budget(run) + more)
    if refused is not None:
        return Ended(refused.exit_code, str(refused))
    if dead := run.report.dead:
        return Ended(DEAD_LETTERS, f"{dead:,} could not be stored: see `aip dead list`")
    return Ended(OK)


def stopped_by_budget(run: Ingestion) -> str:
    """Say which budget ended a run: one that is spent, or too small to begin."""
    needs = run.spending.first_tokens
    if needs is None:
        return f"the budget of {run.settings.budget} is spent"
    limit = counted(run.settings.token_limit() or 0, "token")
    return (
        f"the budget of {run.settings.budget} is smaller than the first request: "
        f"{needs:,} tokens are set aside for it until its answer tells what it cost, "
        f"and the budget is {limit}"
    )


def failed(error: BaseException) -> Ended:
    """Say how a run ended that an error ended."""
    if isinstance(error, PipelineError):
        return Ended(error.exit_code, str(error))
    if isinstance(error, click.UsageError):
        return Ended(USAGE, error.format_message().rstrip("."))
    if isinstance(error, KeyboardInterrupt):
        return CUT_SHORT
    return Ended(FAILED, f"unexpected {type(error).__name__}: {error}")


def print_report(report: IngestReport, end: Ended) -> None:
    """Print the JSON object of `aip ingest`."""
    how = {"outcome": end.outcome, "reason": end.reason}
    print_json({**report.as_dict(), **how})


class JsonReport:
    """Print the JSON object when the block ends, however it does.

    Args:
        wanted: if not, nothing is printed.

    Attributes:
        report: of the run, once there is one.
        end: how it ended, once it has.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.report = IngestReport()
        self.end = Ended(FAILED)
        self._wanted = wanted

    def __enter__(self) -> Self:
        """Wait for the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print the object."""
        if self._wanted:
            end = self.end if error is None else failed(error)
            print_report(self.report, end)
