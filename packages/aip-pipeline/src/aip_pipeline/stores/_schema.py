"""The tables of the SQLite store."""

from __future__ import annotations

SCHEMA_VERSION = 1

TABLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE embedding (
    id INTEGER PRIMARY KEY,
    text_hash BLOB NOT NULL UNIQUE,
    vector BLOB NOT NULL
);
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    uri TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL DEFAULT 0,
    fingerprint TEXT,
    chunks INTEGER NOT NULL DEFAULT 0,
    filtered INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    next_fingerprint TEXT,
    next_chunks INTEGER NOT NULL DEFAULT 0,
    next_filtered INTEGER NOT NULL DEFAULT 0,
    next_dead INTEGER NOT NULL DEFAULT 0,
    next_ordinal INTEGER NOT NULL DEFAULT 0,
    resume_offset INTEGER NOT NULL DEFAULT 0,
    resume_line INTEGER NOT NULL DEFAULT 1,
    resume_ordinal INTEGER NOT NULL DEFAULT 0,
    damage_offset INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (id),
    generation INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    span_start INTEGER NOT NULL,
    span_end INTEGER NOT NULL,
    within_start INTEGER,
    within_end INTEGER,
    line INTEGER NOT NULL,
    text_hash BLOB NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT,
    UNIQUE (source, generation, ordinal)
);
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (id),
    generation INTEGER NOT NULL,
    span_start INTEGER NOT NULL,
    span_end INTEGER,
    line INTEGER,
    ordinal INTEGER,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    text TEXT,
    within_start INTEGER,
    within_end INTEGER,
    metadata TEXT
);
CREATE INDEX dead_by_source ON dead (source, generation);
"""

# The index keeps no second copy of the text: it reads the chunk table's. What a
# transaction adds is indexed by one statement at its end: a trigger on every row would
# flush the index for every row, which costs three times as much. Segments are merged
# sixteen at a time (crisismerge) and not a little at every insert.
FULLTEXT = """
CREATE VIRTUAL TABLE chunk_fts USING fts5 (
    text, content = 'chunk', content_rowid = 'id', tokenize = 'porter unicode61'
);
INSERT INTO chunk_fts (chunk_fts, rank) VALUES ('automerge', 0);
INSERT INTO chunk_fts (chunk_fts, rank) VALUES ('hashsize', 4194304);
CREATE TRIGGER chunk_removed AFTER DELETE ON chunk BEGIN
    INSERT INTO chunk_fts (chunk_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;
"""

# WAL lets `aip status` and `aip search` read while a run writes. FULL makes a
# transaction survive a power cut, and the writer groups enough into each to pay it.
# Pages of 16 KiB hold a text and its vector without overflow: writing costs two thirds
# of what it does with the default of 4 KiB.
# A cache is the writer's alone: what others look for is seldom twice in one place.
PRAGMAS = (
    "PRAGMA page_size = 16384",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -400",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA journal_size_limit = 67108864",
)

# Only the writer comes back to the pages it has just seen. A cache that is soon full
# keeps memory flat as the store grows.
WRITER_CACHE = "PRAGMA cache_size = -4000"

ADD_VECTOR = "INSERT OR IGNORE INTO embedding (text_hash, vector) VALUES (?, ?)"

# SQLite is entered, and Python's lock is given up and fought for, once a statement.
# A row has 12 values at most, and the oldest SQLite takes 999 of them.
ROWS_AT_ONCE = 64, 8


def at_once(statement: str, rows: int) -> str:
    """Return the INSERT of one row as one of many.

    >>> at_once("INSERT INTO a VALUES (?, ?)", 3)
    'INSERT INTO a VALUES (?, ?), (?, ?), (?, ?)'
    """
    head, _, row = statement.rpartition("VALUES ")
    return f"{head}VALUES {', '.join([row.strip()] * rows)}"


NEXT_CHUNK = "SELECT coalesce(max(id), 0) + 1 FROM chunk"

INDEX_CHUNKS = """
INSERT INTO chunk_fts (rowid, text) SELECT id, text FROM chunk WHERE id >= ?
"""

ADD_CHUNK = """
INSERT INTO chunk (id, source, generation, ordinal, span_start, span_end, within_start,
    within_end, line, text_hash, text, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

ADD_DEAD = """
INSERT INTO dead (source, generation, span_start, span_end, line, ordinal, reason,
    attempts, text, within_start, within_end, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

BEGIN_VERSION = """
INSERT INTO source (uri, next_fingerprint) VALUES (?, ?)
ON CONFLICT (uri) DO UPDATE SET next_fingerprint = excluded.next_fingerprint,
    next_chunks = 0, next_filtered = 0, next_dead = 0, next_ordinal = 0,
    resume_offset = 0, resume_line = 1, resume_ordinal = 0, damage_offset = 0
"""

ADVANCE_VERSION = """
UPDATE source SET next_chunks = next_chunks + ?, next_filtered = next_filtered + ?,
    next_dead = next_dead + ?, next_ordinal = ?, resume_offset = ?, resume_line = ?,
    resume_ordinal = ?, damage_offset = ?
WHERE id = ?
"""

COMPLETE_VERSION = """
UPDATE source SET generation = generation + 1, fingerprint = next_fingerprint,
    chunks = next_chunks, filtered = next_filtered, dead = next_dead,
    next_fingerprint = NULL, next_chunks = 0, next_filtered = 0, next_dead = 0,
    next_ordinal = 0, resume_offset = 0, resume_line = 1, resume_ordinal = 0,
    damage_offset = 0
WHERE id = ?
"""

FIND_SOURCE = """
SELECT generation, fingerprint, chunks, filtered, dead, next_fingerprint, next_chunks,
    next_filtered, next_dead, next_ordinal, resume_offset, resume_line, resume_ordinal,
    damage_offset
FROM source WHERE uri = ?
"""

LIVE_VECTORS = """
SELECT chunk.id, embedding.vector FROM chunk
JOIN source ON source.id = chunk.source AND source.generation = chunk.generation
JOIN embedding ON embedding.text_hash = chunk.text_hash
"""

LIVE_WORDS = """
SELECT chunk.id, -bm25(chunk_fts) FROM chunk_fts
JOIN chunk ON chunk.id = chunk_fts.rowid
JOIN source ON source.id = chunk.source AND source.generation = chunk.generation
WHERE chunk_fts MATCH ? ORDER BY bm25(chunk_fts) LIMIT ?
"""

FIND_HITS = """
SELECT chunk.id, source.uri, span_start, span_end, within_start, within_end, line, text,
    metadata
FROM chunk JOIN source ON source.id = chunk.source WHERE chunk.id IN ({marks})
"""

# The order is that of two indexes, so nothing is sorted and memory stays constant.
LIVE_ENTRIES = """
SELECT source.uri, ordinal, span_start, span_end, within_start, within_end, line,
    chunk.text_hash, text, metadata, vector
FROM source
CROSS JOIN chunk ON chunk.source = source.id AND chunk.generation = source.generation
LEFT JOIN embedding ON embedding.text_hash = chunk.text_hash
ORDER BY source.uri, ordinal
"""

_DEAD = """
SELECT source.uri, span_start, span_end, line, ordinal, reason, attempts, text,
    within_start, within_end, metadata, dead.id
FROM dead JOIN source ON source.id = dead.source
"""

ALL_DEAD = f"{_DEAD} ORDER BY source.uri, span_start, dead.id"

DEAD_BY_ID = f"{_DEAD} WHERE dead.id = ?"

DEAD_AFTER = f"{_DEAD} WHERE dead.id > ? ORDER BY dead.id LIMIT ?"

REVIVE = """
INSERT INTO chunk (source, generation, ordinal, span_start, span_end, within_start,
    within_end, line, text_hash, text, metadata)
SELECT source, generation, ordinal, span_start, span_end, within_start, within_end,
    line, ?, text, metadata
FROM dead WHERE id = ?
"""

# The letter is of the version that answers, or of the one that is being written.
COUNT_REVIVED = """
UPDATE source SET chunks = chunks + (source.generation = dead.generation),
    dead = source.dead - (source.generation = dead.generation),
    next_chunks = next_chunks + (source.generation < dead.generation),
    next_dead = next_dead - (source.generation < dead.generation)
FROM dead WHERE dead.id = ? AND source.id = dead.source
"""

REFUSE_AGAIN = "UPDATE dead SET reason = ?, attempts = attempts + ? WHERE id = ?"

READ_AGAIN = """
UPDATE source SET
    fingerprint = CASE source.generation WHEN dead.generation THEN NULL
        ELSE fingerprint END,
    next_fingerprint = CASE source.generation WHEN dead.generation THEN next_fingerprint
        ELSE '' END
FROM dead WHERE dead.id = ? AND source.id = dead.source
"""

# What the sources say there is, what there is, and whether sources that would be
# called unchanged have no vector at all.
HELD = """
SELECT coalesce((SELECT sum(chunks + next_chunks) FROM source), 0),
    (SELECT count(*) FROM chunk),
    NOT EXISTS (SELECT 1 FROM embedding)
        AND EXISTS (SELECT 1 FROM source WHERE fingerprint IS NOT NULL AND chunks)
"""

# A source that could not be opened has a version begun, without a name and empty. It is
# no source that is stored until it could be, as a run counts it.
TOTALS = """
SELECT count(CASE WHEN generation OR next_fingerprint <> '' OR next_chunks THEN 1 END),
    count(CASE WHEN next_fingerprint <> '' OR next_chunks THEN 1 END),
    coalesce(sum(chunks), 0),
    coalesce(sum(next_chunks), 0),
    (SELECT count(*) FROM embedding), (SELECT count(*) FROM dead)
FROM source
"""
