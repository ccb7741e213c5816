"""How far a run has come, and how long the rest may take."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from aip_pipeline._sources import Source, paths_of
from aip_readers import ReadError, discover


def bytes_to_read(sources: Sequence[Source], *, stop: Callable[[], bool]) -> int | None:
    """Add up the files of *sources* as they lie on disk; holds no list of them.

    None where a stream or records are among them, whose length nobody knows, where a
    path is not there, or where *stop* says that nobody wants to know any more.
    """
    paths = paths_of(sources)
    if len(paths) < len(sources):
        return None
    total = 0
    try:
        for path in discover(paths, on_error="skip"):
            if stop():
                return None
            total += file_bytes(path)
    except ReadError:  # the run itself says so
        return None
    return total


def file_bytes(path: str) -> int:
    """Return the size of a file, or 0 where it cannot be told."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  # a string stays a string
    except OSError:
        return 0


def told(*, done_bytes: int, total_bytes: int | None, elapsed_s: float) -> str:
    """Say which part was read, and how long the rest takes at the speed so far.

    >>> told(done_bytes=25, total_bytes=100, elapsed_s=60)
    '25 %, about 3 min left'
    >>> told(done_bytes=0, total_bytes=100, elapsed_s=60)
    '0 %'
    >>> told(done_bytes=0, total_bytes=None, elapsed_s=60)
    ''
    """
    if not total_bytes:
        return ""
    share = min(1.0, done_bytes / total_bytes)
    if not share:
        return "0 %"
    left_s = elapsed_s * (1 - share) / share
    return f"{100 * share:.0f} %, about {_rounded(left_s)} left"


def _rounded(seconds: float) -> str:
    """Write a duration in the largest unit of which it holds at least two."""
    for unit_s, unit in (86_400, "days"), (3600, "h"), (60, "min"):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
