"""The yardstick: the script that a very good engineer writes in an afternoon.

JSONL in; batches of 64 through aiohttp, a semaphore and a backoff; one SQLite table
out. It resumes, keeps its memory flat and honours Retry-After. It knows no cleaning,
no spans, no full text, no hashes, no changed or vanished source, no poison: a text
that the server refuses ends it.

``python -m labs.experiments.ingest._script FILE DATABASE URL [--size N]``
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeAlias

import aiohttp
import numpy as np
import orjson

RETRIED = {408, 409, 429, 500, 502, 503, 504}
ATTEMPTS, TIMEOUT_S, OVERLAP = 10, 30, 100
Row: TypeAlias = tuple[int, int, str]

TABLE = """CREATE TABLE IF NOT EXISTS chunk (line INTEGER, part INTEGER, text TEXT,
    vector BLOB, PRIMARY KEY (line, part)) WITHOUT ROWID"""


def chunks(path: str, *, size: int) -> Iterator[Row]:
    """Cut each line's text every *size* characters, sharing `OVERLAP`."""
    with open(path, "rb") as lines:  # noqa: PTH123  # as such a script does
        for number, line in enumerate(lines):
            text = orjson.loads(line)["text"]
            if len(text) <= size:
                yield number, 0, text
                continue
            starts = range(0, len(text) - OVERLAP, size - OVERLAP)
            for part, start in enumerate(starts):
                yield number, part, text[start : start + size]


async def embed(http: aiohttp.ClientSession, url: str, texts: list[str]) -> list[Any]:
    """Ask for the vectors of one batch until they come."""
    question = {"model": "bench", "input": texts, "encoding_format": "base64"}
    body = orjson.dumps(question)
    for attempt in range(ATTEMPTS):
        wait_s = random.uniform(0, min(10, 0.2 * 2**attempt))
        try:
            async with http.post(f"{url}/embeddings", data=body) as response:
                if response.status == 200:  # noqa: PLR2004  # HTTP
                    data = orjson.loads(await response.read())["data"]
                    coded = [b64decode(item["embedding"]) for item in data]
                    if len(coded) == len(texts):
                        return [np.frombuffer(each, "<f4") for each in coded]
                elif response.status not in RETRIED:
                    raise RuntimeError(f"{response.status}: {await response.text()}")
                wait_s += float(response.headers.get("Retry-After", 0))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass
        await asyncio.sleep(wait_s)
    raise RuntimeError(f"gave up after {ATTEMPTS} attempts")


async def main(given: argparse.Namespace) -> None:
    """Embed what the table does not hold yet."""
    db = sqlite3.connect(given.database)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(TABLE)
    done = set(db.execute("SELECT line, part FROM chunk"))
    rows = (row for row in chunks(given.file, size=given.size) if row[:2] not in done)
    slots = asyncio.Semaphore(given.concurrency)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}

    async def work(batch: list[Row]) -> None:
        try:
            vectors = await embed(http, given.url, [row[2] for row in batch])
        finally:
            slots.release()
        stored = [(*row, vector) for row, vector in zip(batch, vectors, strict=True)]
        with db:
            db.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?)", stored)

    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as http,
        asyncio.TaskGroup() as group,
    ):
        while batch := list(islice(rows, 64)):
            await slots.acquire()
            group.create_task(work(batch))
    db.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("file", "database", "url"):
        parser.add_argument(name)
    parser.add_argument("--size", type=int, default=1 << 30)
    parser.add_argument("--concurrency", type=int, default=32)
    asyncio.run(main(parser.parse_args()))
