"""Texts to experiment on: the same bytes on every machine, at any size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

BLOCK_LINES = 8192
LINES_OF_A_TEXT = 8
PROSE = (
    "the pipeline reads a stream of bytes and keeps one piece in memory while "
    "another thread embeds what came before; nothing waits for the whole file, so "
    "a server with little memory carries a source of any length to its store"
)


def prose(path: Path, *, size: int) -> Path:
    """Write a text file of exactly *size* bytes: lines of 40 to 160 characters.

    Holds one block of lines, which is repeated.
    """
    block = "".join(f"{line}\n" for line in _lines(BLOCK_LINES)).encode()
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
    return path


def jsonl(path: Path, *, size: int) -> Path:
    """Write at least *size* bytes of JSON lines with texts of about 900 characters.

    No two texts are equal, so that none is known already when it is read.
    """
    lines = list(_lines(BLOCK_LINES))
    written = number = 0
    with path.open("wb") as file:
        while written < size:
            at = number * LINES_OF_A_TEXT % len(lines)
            text = f"{number} {' '.join(lines[at : at + LINES_OF_A_TEXT])}"
            written += file.write(json.dumps({"text": text}).encode() + b"\n")
            number += 1
    return path


def _lines(count: int) -> Iterator[str]:
    random, known = Random(1), PROSE.split()
    for _ in range(count):
        words = random.choices(known, k=random.randint(8, 28))
        yield " ".join(words)
