"""What a run tells the log, through the standard library's logging.

Each record has an `event` and `fields` of its own beside the message, for handlers
that write structured logs. Nothing is configured here: who wants to see it does that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aip_pipeline._redaction import without_password

if TYPE_CHECKING:
    from aip_pipeline._report import IngestReport
    from aip_pipeline._settings import IngestSettings
    from aip_pipeline._writing import Committed

LOGGER = logging.getLogger(__name__)
# Without a handler of its own, Python prints a library's warnings on stderr.
logging.getLogger("aip_pipeline").addHandler(logging.NullHandler())


class RunLog:
    """Log one run: its start and end, commits, sources, dead letters, retries."""

    def __init__(self) -> None:
        self._retries = 0

    def started(self, settings: IngestSettings, *, sources: int) -> None:
        """Log what the run was told, without secrets."""
        base_url = settings.base_url
        _log(
            logging.INFO,
            "run_started",
            "run started",
            sources=sources,
            store=without_password(settings.store),
            embedder=settings.embedder,
            base_url=None if base_url is None else without_password(base_url),
        )

    def committed(self, done: Committed) -> None:
        """Log one transaction, the sources that it completed, and what is dead."""
        counts = done.counts
        _log(
            logging.INFO,
            "commit",
            "transaction committed",
            stored=counts.stored,
            filtered=counts.filtered,
            dead=counts.dead,
            deleted=counts.deleted,
            embedded=counts.embedded,
        )
        for letter in done.letters:
            _log(
                logging.WARNING,
                "dead_letter",
                "a text could not be stored",
                source=letter.source,
                start=letter.start,
                end=letter.end,
                line=letter.line,
                reason=letter.reason,
                attempts=letter.attempts,
            )
        for uri in done.finished:
            _log(logging.INFO, "source_finished", "source finished", source=uri)

    def retries(self, total: int) -> None:
        """Log how many requests were sent again since the last call."""
        new, self._retries = total - self._retries, total
        if new > 0:
            said = "requests were sent again"
            _log(logging.WARNING, "retry", said, count=new, total=total)

    def finished(self, report: IngestReport, *, outcome: str) -> None:
        """Log the report and how the run ended."""
        self.retries(report.retries)
        said = f"run {outcome}"
        _log(logging.INFO, "run_finished", said, outcome=outcome, **report.as_dict())


def _log(level: int, event: str, message: str, /, **fields: object) -> None:
    LOGGER.log(level, message, extra={"event": event, "fields": fields})
