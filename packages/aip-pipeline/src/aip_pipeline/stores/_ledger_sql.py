"""What the ledger of mirrors asks of the SQLite store."""

from __future__ import annotations

# The tables come with the first mirror. A chunk that is deleted leaves its row here
# without a chunk, in the same transaction: that is how its id is known to be retired.
# The digest names what was acknowledged; none means that it may be there, or not. What
# is refused has one too, so that its equal is never sent again, and a reason besides.
TABLES = """
CREATE TABLE IF NOT EXISTS mirror (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS mirrored (
    mirror INTEGER NOT NULL,
    entry TEXT NOT NULL,
    chunk INTEGER REFERENCES chunk (id) ON DELETE SET NULL,
    digest BLOB,
    PRIMARY KEY (mirror, entry)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mirrored_chunk ON mirrored (chunk, mirror, digest);
CREATE TABLE IF NOT EXISTS mirror_refused (
    mirror INTEGER NOT NULL,
    entry TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (mirror, entry)
) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS chosen (number INTEGER PRIMARY KEY, chunk INTEGER);
DROP TABLE IF EXISTS temp.listed;
CREATE TEMP TABLE listed (entry TEXT PRIMARY KEY) WITHOUT ROWID;
"""

ADD_MIRROR = "INSERT OR IGNORE INTO mirror (name) VALUES (?)"

FIND_MIRROR = "SELECT id FROM mirror WHERE name = ?"

# The index of chunks by source and generation has all that this needs.
ALL_LIVE = """
INSERT INTO temp.chosen (chunk) SELECT chunk.id FROM source
CROSS JOIN chunk ON chunk.source = source.id AND chunk.generation = source.generation
"""

MISSING = f"""{ALL_LIVE}
LEFT JOIN mirrored ON mirrored.chunk = chunk.id AND mirrored.mirror = ?
WHERE mirrored.digest IS NULL
"""

PAGE = """
SELECT number, chunk.id, uri, ordinal, span_start, span_end, within_start, within_end,
    line, chunk.text_hash, text, metadata, vector
FROM temp.chosen JOIN chunk ON chunk.id = chosen.chunk
JOIN source ON source.id = chunk.source
LEFT JOIN embedding ON embedding.text_hash = chunk.text_hash
WHERE number > ? ORDER BY number LIMIT ?
"""

ACKNOWLEDGED = """
SELECT entry, digest FROM mirrored
WHERE mirror = ? AND entry IN ({marks}) AND digest IS NOT NULL
"""

NOTE = "INSERT OR REPLACE INTO mirrored VALUES (?, ?, ?, ?)"

REFUSE = "INSERT OR REPLACE INTO mirror_refused VALUES (?, ?, ?)"

UNREFUSE = "DELETE FROM mirror_refused WHERE mirror = ? AND entry = ?"

REFUSED = """
SELECT count(*) OVER (), entry, uri, reason
FROM mirror_refused JOIN mirrored USING (mirror, entry)
JOIN chunk ON chunk.id = mirrored.chunk JOIN source ON source.id = chunk.source
WHERE mirror = ? AND digest IS NOT NULL ORDER BY entry LIMIT 1
"""

ACCEPTED = """
SELECT EXISTS (SELECT 1 FROM mirrored WHERE mirror = ? AND digest IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM mirror_refused AS r
        WHERE r.mirror = mirrored.mirror AND r.entry = mirrored.entry))
"""

_RETIRED = "FROM mirrored WHERE mirror = ? AND chunk IS NULL"

RETIRED = f"SELECT entry {_RETIRED} LIMIT ?"

COUNT_RETIRED = f"SELECT count(*) {_RETIRED}"

FORGET = "DELETE FROM mirrored WHERE mirror = ? AND entry = ?"

# Of chunks that were deleted from outside, too, whose rows still name them.
FORGET_RETIRED = """
DELETE FROM mirrored WHERE mirror = ?
    AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.id = mirrored.chunk)
"""

NOTE_LISTED = "INSERT OR IGNORE INTO temp.listed VALUES (?)"

TAKE_LISTED = "DELETE FROM temp.listed WHERE entry = ?"

LISTED = "SELECT entry FROM temp.listed WHERE entry > ? ORDER BY entry LIMIT ?"
