"""How much memory this process holds, and held at most."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory of this process now, or its peak where none tells."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_memory_bytes()


def peak_memory_bytes() -> int:
    """Return the most resident memory that this process ever held, in bytes.

    Linux tells it per process (VmHWM); elsewhere getrusage comes nearest, though it
    may inherit the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        return int(found.group(1)) * 1024 if found else 0
    import resource  # noqa: PLC0415  # absent on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
