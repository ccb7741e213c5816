"""`--report FILE.html`: the page that a run leaves behind, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aip_pipeline._errors import ConfigError, PipelineError
from aip_pipeline._sampling import Recorder
from aip_pipeline.cli._words import how_to_go_on

if TYPE_CHECKING:
    from aip_pipeline._ingestion import Ingestion


class ReportFile:
    """Write the report of a run to a file.

    Args:
        path: the file; None writes none.

    Raises:
        ConfigError: there is no such folder; said before anything is read.
    """

    def __init__(self, path: Path | None) -> None:
        self.recorder = Recorder()
        self._path = path
        if path is not None and not path.parent.is_dir():
            raise ConfigError(
                f"cannot write the report to {path}: there is no folder {path.parent}: "
                "make it, or name another file; nothing was read"
            )

    @property
    def wanted(self) -> bool:
        """Whether there is a file to write."""
        return self._path is not None

    @contextmanager
    def written_of(self, run: Ingestion) -> Iterator[None]:
        """Write the report when the block ends, also by an error.

        Raises:
            PipelineError: the file cannot be written; the store is as it should be.
        """
        try:
            yield
        except BaseException as error:
            said = error if isinstance(error, PipelineError) else type(error).__name__
            self._write(run, outcome=f"failed: {said}")
            raise
        self.write(run)

    def write(self, run: Ingestion) -> None:
        """Write how the run stands.

        Raises:
            PipelineError: the file cannot be written; the store is as it should be.
        """
        self._write(run, outcome=_outcome(run))

    def _write(self, run: Ingestion, *, outcome: str) -> None:
        if self._path is None:
            return
        from aip_pipeline._page import page  # noqa: PLC0415  # only a report needs it

        ended = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        text = page(run, self.recorder, outcome=outcome, ended=ended)
        partial = self._path.with_name(self._path.name + ".part")
        try:
            partial.write_text(text, encoding="utf-8", errors="replace")
            partial.replace(self._path)
        except OSError as error:
            raise PipelineError(
                f"cannot write the report to {self._path} ({error.strerror}): what was "
                "ingested is stored"
            ) from error
        finally:
            partial.unlink(missing_ok=True)


def _outcome(run: Ingestion) -> str:
    if run.interrupted:
        return f"interrupted: {how_to_go_on(run)}"
    if run.exhausted:
        return "stopped by the budget: run the same command again to go on"
    if run.report.dead:
        return f"done, with {run.report.dead:,} dead: see aip dead list"
    return "done"
