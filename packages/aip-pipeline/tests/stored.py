"""What tests ask of a store: its rows, without the ids that order gave them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TABLES = {
    "chunk": """SELECT uri, chunk.generation, ordinal, span_start, span_end,
        within_start, within_end, line, text_hash, text, metadata
        FROM chunk JOIN source ON source.id = chunk.source""",
    "source": """SELECT uri, generation, fingerprint, chunks, filtered, dead,
        next_fingerprint FROM source""",
    "dead": """SELECT uri, span_start, span_end, line, ordinal, reason, text
        FROM dead JOIN source ON source.id = dead.source""",
    "embedding": "SELECT text_hash, vector FROM embedding",
    "words": "SELECT term, doc, cnt FROM words",
}


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every table's rows in an order of their own; full text by its words."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, chunk_fts, row)"
        )
        db.execute("INSERT INTO chunk_fts (chunk_fts) VALUES ('integrity-check')")
        db.rollback()
        return {
            name: sorted(db.execute(query).fetchall(), key=repr)
            for name, query in TABLES.items()
        }


def texts(path: Path) -> list[str]:
    """Return the live chunks' texts, by source and ordinal."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute(
            """SELECT text FROM chunk JOIN source ON source.id = chunk.source
            AND source.generation = chunk.generation ORDER BY uri, ordinal"""
        )
        return [row[0] for row in found]


def unpaired(path: Path) -> int:
    """Count the chunks that have no vector."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute(
            """SELECT count(*) FROM chunk LEFT JOIN embedding USING (text_hash)
            WHERE vector IS NULL"""
        )
        return int(found.fetchone()[0])
