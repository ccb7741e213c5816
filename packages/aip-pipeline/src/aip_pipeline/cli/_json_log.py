"""`--log-json`: what a run tells the log, one JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import ClassVar

import click

from aip_pipeline._errors import PipelineError

LOGGER = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object: when, how grave, what, and its fields."""

    FIXED: ClassVar = ("time", "level", "event", "message")

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a field never replaces a fixed one."""
        fields = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        more = {key: fields[key] for key in fields if key not in self.FIXED}
        return json.dumps({**line, **more}, default=str)


@contextmanager
def json_log(*, wanted: bool, debug: bool = False) -> Iterator[None]:
    """Log to stderr as JSON, errors included, while the block runs.

    Args:
        wanted: if not, nothing is done.
        debug: let an error pass, so that its traceback is seen.
    """
    if not wanted:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root, ours = logging.getLogger(), logging.getLogger("aip_pipeline")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    except PipelineError as error:
        if debug:
            raise
        code = error.exit_code
        more = {"event": "error", "fields": {"exit_code": code}}
        LOGGER.error("%s", error, extra=more)  # noqa: TRY400  # a sentence, no trace
        raise click.exceptions.Exit(code) from error
    finally:
        ours.setLevel(level)
        root.removeHandler(handler)
