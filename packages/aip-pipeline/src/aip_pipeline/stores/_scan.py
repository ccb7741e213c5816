"""Search of the SQLite store: every vector, or the full-text index."""

from __future__ import annotations

import heapq
import re
import sqlite3

from aip_pipeline._errors import SpaceMismatch
from aip_pipeline.stores import _schema as sql

SCAN_ROWS = 4096  # vectors held at once: 4 MiB at 256 dimensions


def nearest(
    db: sqlite3.Connection, vector: bytes, *, k: int
) -> list[tuple[int, float]]:
    """Return the ids and cosines of the k nearest live chunks, nearest first."""
    import numpy as np  # noqa: PLC0415  # only a search needs it

    wanted = np.frombuffer(vector, dtype=np.float32)
    best: list[tuple[float, int]] = []
    cursor = db.execute(sql.LIVE_VECTORS)
    while rows := cursor.fetchmany(SCAN_ROWS):
        flat = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
        block = flat.reshape(len(rows), -1)
        if block.shape[1] != len(wanted):
            raise SpaceMismatch(
                f"the store holds vectors of {block.shape[1]} dimensions, and the "
                f"embedder answers with {len(wanted)}: it is no longer the one that "
                "made this store; use that one, or a new store with --store",
                stored=str(block.shape[1]),
                asked=str(len(wanted)),
            )
        norms = np.sqrt(np.einsum("ij,ij->i", block, block))
        scores = block @ wanted / np.maximum(norms, 1e-12)
        top = np.argsort(-scores, kind="stable")[:k]
        found = [(float(scores[i]), -rows[i][0]) for i in top.tolist()]
        best = heapq.nlargest(k, best + found)
    return [(-chunk, score) for score, chunk in best]


def matching(db: sqlite3.Connection, query: str, *, k: int) -> list[tuple[int, float]]:
    """Return the ids and BM25 scores of the k live chunks that match a word best."""
    words = dict.fromkeys(re.findall(r"\w+", query))
    if not words:
        return []
    match = " OR ".join(f'"{word}"' for word in words)
    return db.execute(sql.LIVE_WORDS, (match, k)).fetchall()
