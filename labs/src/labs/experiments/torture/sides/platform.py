"""Our side: the command ``aip``, with its defaults."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from labs.experiments.torture.sides._commands import BATCH, Passage, run


def ingest(folder: Path, state: Path, url: str) -> None:
    """Become ``aip ingest``, so that what kills this process kills that one."""
    store = "--store", f"sqlite:///{state}/aip.db", "--prune"
    embedder = "--embedder", "openai:bench", "--base-url", url
    command = "-m", "aip_pipeline", "ingest", str(folder), *store, *embedder
    batch = "--batch-size", str(BATCH)
    os.execv(sys.executable, [sys.executable, *command, *batch])  # noqa: S606  # itself


def passages(state: Path) -> Iterator[Passage]:
    """Read them through the platform's export."""
    from aip_pipeline import export

    if (state / "aip.db").exists():
        for chunk in export(f"sqlite:///{state}/aip.db"):
            yield chunk.source, chunk.text, len(chunk.vector) // 4


def empty(state: Path) -> None:
    """Delete the rows that a search reads."""
    with closing(sqlite3.connect(state / "aip.db")) as db, db:
        db.execute("DELETE FROM chunk")


if __name__ == "__main__":
    run(ingest, passages, empty)
