"""The three commands that every side has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

BATCH = 10
CHUNK_CHARS, OVERLAP_CHARS = 1000, 100
DIMENSIONS = 64
MODEL = "bench"
KEY = "none"

Passage: TypeAlias = tuple[str, str, int]


def run(
    ingest: Callable[[Path, Path, str], None],
    passages: Callable[[Path], Iterable[Passage]],
    empty: Callable[[Path], None],
) -> None:
    """Do what the command line asks for."""
    command, *given = sys.argv[1:]
    if command == "ingest":
        folder, state, url = given
        Path(state).mkdir(exist_ok=True)
        ingest(Path(folder), Path(state), url)
    elif command == "passages":
        for state in given:
            for passage in passages(Path(state)):
                print(json.dumps([state, *passage]))
    elif command == "empty":
        empty(Path(given[0]))
    else:
        raise SystemExit(f"there is no command {command}")
