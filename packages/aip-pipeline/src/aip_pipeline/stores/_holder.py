"""Who writes to a store: noted by a run, read by whoever looks from another shell."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from socket import gethostname


def this_process() -> str:
    """Write down this process, and that its run begins now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"pid": os.getpid(), "host": gethostname(), "since": now})


def holder_of(written: str | None) -> tuple[int | None, str | None]:
    """Read the process, and since when it runs, where it is one of this machine.

    A run that was killed has left its name, and `aip verify` leaves none. What is
    damaged names nobody.

    >>> holder_of(this_process())[0] == os.getpid(), holder_of(None)
    (True, (None, None))
    """
    if written is None or os.name != "posix":
        return None, None
    try:
        noted = json.loads(written)
        pid, since = int(noted["pid"]), str(noted["since"])
        if pid < 1 or noted["host"] != gethostname():
            return None, None
        with suppress(PermissionError):  # of another user, so it is there
            os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, LookupError, TypeError, ValueError, OverflowError):
        return None, None
    return pid, since
