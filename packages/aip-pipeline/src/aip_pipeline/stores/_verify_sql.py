"""What a verification asks of the SQLite store, and how it mends."""

from __future__ import annotations

CHECK_FULLTEXT = "INSERT INTO chunk_fts (chunk_fts, rank) VALUES ('integrity-check', 1)"

REBUILD_FULLTEXT = "INSERT INTO chunk_fts (chunk_fts) VALUES ('rebuild')"

DROP_FULLTEXT = """
DROP TRIGGER IF EXISTS chunk_removed;
DROP TABLE IF EXISTS chunk_fts;
"""

VERIFY_TABLES = """
DROP TABLE IF EXISTS temp.bad_vector;
DROP TABLE IF EXISTS temp.read_again;
CREATE TABLE temp.bad_vector (text_hash BLOB PRIMARY KEY, what TEXT) WITHOUT ROWID;
CREATE TABLE temp.read_again (source, pending, UNIQUE (source, pending));
"""

NOTE_BAD_VECTOR = "INSERT INTO temp.bad_vector VALUES (?, ?)"

ALL_VECTORS = """
SELECT text_hash, CASE typeof(vector) WHEN 'blob' THEN vector ELSE x'' END
FROM embedding
"""

READ_AGAIN = "INSERT OR IGNORE INTO temp.read_again VALUES (?, ?)"

COMMONEST_LENGTH = """
SELECT length(vector) FROM embedding GROUP BY 1 ORDER BY count(*) DESC LIMIT 1
"""

# A row is owned by the version that answers, or by the one that is being written.
_OWNED = """
{table}.generation > 0 AND ({table}.generation = source.generation OR
    ({table}.generation = source.generation + 1 AND next_fingerprint IS NOT NULL))
"""

FIND_ORPHANS = f"""
SELECT uri, {{table}}.source, {{table}}.generation, count(*)
FROM {{table}} LEFT JOIN source ON source.id = {{table}}.source
WHERE uri IS NULL OR NOT ({_OWNED}) GROUP BY 2, 3
"""  # noqa: S608  # two fixed names

OWNED_CHUNKS = f"""
SELECT source.id, uri, chunk.generation > source.generation, ordinal, span_start,
    CAST(text AS BLOB), chunk.text_hash, CAST(metadata AS BLOB),
    CASE WHEN chunk.generation > source.generation THEN next_fingerprint = ''
        ELSE fingerprint IS NULL END,
    embedding.id, bad_vector.what
FROM chunk JOIN source ON source.id = chunk.source
LEFT JOIN embedding ON embedding.text_hash = chunk.text_hash
LEFT JOIN temp.bad_vector ON bad_vector.text_hash = chunk.text_hash
WHERE {_OWNED.format(table="chunk")}
"""  # noqa: S608  # a fixed name

UNUSED_BAD_VECTORS = """
SELECT lower(hex(text_hash)), what FROM temp.bad_vector
WHERE text_hash NOT IN (SELECT text_hash FROM chunk)
"""

# How many rows of a table the version that answers, or the one being written, has.
_ROWS = """
(SELECT count(*) FROM {table} WHERE {table}.source = source.id
    AND {table}.generation = source.generation + {pending} AND {table}.generation > 0
    AND ({pending} = 0 OR next_fingerprint IS NOT NULL))
"""

_COUNTED = {
    "chunks": _ROWS.format(table="chunk", pending=0),
    "dead": _ROWS.format(table="dead", pending=0),
    "next_chunks": _ROWS.format(table="chunk", pending=1),
    "next_dead": _ROWS.format(table="dead", pending=1),
}

WRONG_COUNTS = " UNION ALL ".join(
    f"SELECT id, uri, {int('next' in column)}, '{column.replace('next_', 'new ')}', "  # noqa: S608  # four fixed names
    f"{column}, {rows} AS stored FROM source WHERE {column} != stored"
    for column, rows in _COUNTED.items()
)

_RECOUNT = ", ".join(f"{column} = {rows}" for column, rows in _COUNTED.items())

CANARIES = "SELECT CAST(value AS TEXT) FROM meta WHERE key = 'canaries'"

MARK_CANARIES = "INSERT OR REPLACE INTO meta VALUES ('canaries', ?)"

# A source without its fingerprint is read again by the next ingest; its known texts
# cost nothing, and what is stored of it answers until then.
REPAIR = f"""
DELETE FROM chunk WHERE NOT EXISTS (SELECT 1 FROM source
    WHERE source.id = chunk.source AND {_OWNED.format(table="chunk")});
DELETE FROM dead WHERE NOT EXISTS (SELECT 1 FROM source
    WHERE source.id = dead.source AND {_OWNED.format(table="dead")});
DELETE FROM embedding WHERE text_hash IN (SELECT text_hash FROM temp.bad_vector);
UPDATE source SET {_RECOUNT};
UPDATE source SET fingerprint = NULL
WHERE id IN (SELECT source FROM temp.read_again WHERE pending = 0);
UPDATE source SET next_fingerprint = ''
WHERE id IN (SELECT source FROM temp.read_again WHERE pending = 1);
"""  # noqa: S608  # fixed names
