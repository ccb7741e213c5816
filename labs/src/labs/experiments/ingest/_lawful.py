"""The floor: the script's work with what the laws ask for, in the fewest steps.

Beside the script it names each text by its content and asks whether that is stored, so
that it is paid for once; keeps vectors apart from the chunks that share them; gives
each chunk its bytes; and makes both and the progress durable in one transaction.
Nothing is limited, checked, reported or resumed, and nothing runs beside anything else:
it shows what the laws cost at the least, and is no tool.

``python -m labs.experiments.ingest._lawful FILE DATABASE URL``
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import TypeAlias

import aiohttp
import orjson

from labs.experiments.ingest._script import TIMEOUT_S, embed

Row: TypeAlias = tuple[int, int, int, bytes, str]

TABLES = """
CREATE TABLE embedding (
    id INTEGER PRIMARY KEY, text_hash BLOB NOT NULL UNIQUE, vector BLOB NOT NULL
);
CREATE TABLE source (id INTEGER PRIMARY KEY, chunks INTEGER, resume_offset INTEGER);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, generation INTEGER NOT NULL,
    ordinal INTEGER NOT NULL, span_start INTEGER NOT NULL, span_end INTEGER NOT NULL,
    text_hash BLOB NOT NULL, text TEXT NOT NULL, UNIQUE (source, generation, ordinal)
);
INSERT INTO source VALUES (1, 0, 0);
"""
ADD_CHUNK = "INSERT INTO chunk VALUES (NULL, 1, 1, ?, ?, ?, ?, ?)"
ADD_VECTOR = "INSERT OR IGNORE INTO embedding VALUES (NULL, ?, ?)"


def chunks(path: str) -> Iterator[Row]:
    """Name each line's text by its content, and tell its bytes."""
    start = 0
    with open(path, "rb") as lines:  # noqa: PTH123  # as the script does
        for ordinal, line in enumerate(lines):
            text = orjson.loads(line)["text"]
            end = start + len(line)
            name = blake2b(text.encode(), digest_size=16).digest()
            yield ordinal, start, end, name, text
            start = end


def opened(path: str) -> sqlite3.Connection:
    """Make a database as the store has it."""
    db = sqlite3.connect(path)
    # A page holds a text and its vector, a commit outlives the power.
    db.execute("PRAGMA page_size = 16384")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(TABLES)
    return db


def unknown(db: sqlite3.Connection, batch: list[Row]) -> list[Row]:
    """Pick what was never paid for."""
    marks = ",".join("?" * len(batch))
    query = f"SELECT text_hash FROM embedding WHERE text_hash IN ({marks})"  # noqa: S608  # only marks
    known = {name for (name,) in db.execute(query, [row[3] for row in batch])}
    return [row for row in batch if row[3] not in known]


async def main(given: argparse.Namespace) -> None:
    """Embed and store every line."""
    db = opened(given.database)
    slots = asyncio.Semaphore(given.concurrency)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}

    async def work(batch: list[Row], fresh: list[Row]) -> None:
        try:
            vectors = await embed(http, given.url, [row[4] for row in fresh])
        finally:
            slots.release()
        named = zip((row[3] for row in fresh), vectors, strict=True)
        with db:
            db.executemany(ADD_VECTOR, named)
            db.executemany(ADD_CHUNK, batch)
            done = "UPDATE source SET chunks = chunks + ?, resume_offset = ?"
            db.execute(done, (len(batch), batch[-1][2]))

    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
        asyncio.TaskGroup() as group,
    ):
        rows = chunks(given.file)
        while batch := list(islice(rows, 64)):
            await slots.acquire()
            group.create_task(work(batch, unknown(db, batch)))
    db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("file", "database", "url"):
        parser.add_argument(name)
    parser.add_argument("--concurrency", type=int, default=32)
    asyncio.run(main(parser.parse_args()))
