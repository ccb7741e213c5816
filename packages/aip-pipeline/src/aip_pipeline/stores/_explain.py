"""What SQLite's errors mean to the one who runs the job."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def explained(path: Path, error: sqlite3.Error) -> str:
    """Say in one sentence what is wrong with the file, and what to do."""
    said = str(error)
    if "full" in said or "I/O" in said:
        return (
            f"no room to write at {path} ({said}): free some disk space and run "
            "again; all that was stored is safe"
        )
    if "locked" in said:
        return f"another program holds {path} ({said}): wait for it, then run again"
    if "not a database" in said:
        return f"{path} is not a SQLite file: name another with --store sqlite:///PATH"
    if "unable to open" in said or "readonly" in said:
        return (
            f"cannot open the store at {path} ({said}): check the path and its rights"
        )
    if "malformed" in said or "Could not decode" in said:
        return (
            f"the store at {path} is damaged ({said[:60]}): restore a copy of it, or "
            "name a new one with --store"
        )
    return (
        f"cannot use the store at {path} ({said[:200]}): run `aip verify --repair`, or "
        "where that does not help, restore a copy of it or name a new one with --store"
    )
