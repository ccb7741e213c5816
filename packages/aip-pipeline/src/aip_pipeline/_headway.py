"""How far a run has come, and how long the rest may take."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence

from aip_pipeline._sources import Source, paths_of
from aip_readers import ReadError, discover

WATCHED_S = 30.0
NOTED_EACH_S = 1.0
MIN_WATCHED_S = 2.0


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


class Headway:
    """Tell how far a run has come, and how long the rest takes, by what is durable.

    The speed is that of the last half minute: sources that did not change pass in no
    time, and a server may be slow from now on. Holds as many places.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()
        self._most = 0.0

    def told(
        self, *, at_s: float, durable_bytes: float, total_bytes: int | None
    ) -> str:
        """Say which part is stored, and how long the rest takes; empty if unknown.

        Args:
            at_s: now, in seconds; it only grows.
            durable_bytes: of the sources, as far as a kill would lose nothing of them.
            total_bytes: of all sources; None where nobody knows.

        >>> headway = Headway()
        >>> headway.told(at_s=0, durable_bytes=0, total_bytes=100)
        '0 %'
        >>> headway.told(at_s=10, durable_bytes=25, total_bytes=100)
        '25 %, about 30 s left'
        >>> headway.told(at_s=20, durable_bytes=100, total_bytes=100)
        'finishing'
        """
        if not total_bytes:
            return ""
        # It is worked out from counts of chunks, and may seem to fall a little.
        durable_bytes = self._most = max(self._most, durable_bytes)
        self._note(at_s, durable_bytes)
        if durable_bytes >= total_bytes:
            return "finishing"
        part = f"{100 * durable_bytes / total_bytes:.0f} %"
        then_s, then_bytes = self._seen[0]
        gained = durable_bytes - then_bytes
        if gained <= 0 or at_s - then_s < MIN_WATCHED_S:
            return part
        left_s = (total_bytes - durable_bytes) * (at_s - then_s) / gained
        return f"{part}, about {_rounded(max(1.0, left_s))} left"

    def _note(self, at_s: float, durable_bytes: float) -> None:
        """Keep one place a second, of the last half minute."""
        seen = self._seen
        if not seen or at_s - seen[-1][0] >= NOTED_EACH_S:
            seen.append((at_s, durable_bytes))
        while len(seen) > 1 and at_s - seen[1][0] >= WATCHED_S:
            seen.popleft()


def _rounded(seconds: float) -> str:
    """Write a duration in the largest unit of which it holds at least two."""
    for unit_s, unit in (86_400, "days"), (3600, "h"), (60, "min"):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
