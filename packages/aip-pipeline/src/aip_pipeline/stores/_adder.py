"""What one transaction of the SQLite store writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from aip_pipeline.stores import _schema as sql
from aip_pipeline.stores._protocol import Became, Part, Write
from aip_pipeline.stores._rows import rows_of

_AT_ONCE = {
    each: [(rows, sql.at_once(each, rows)) for rows in sql.ROWS_AT_ONCE]
    for each in (sql.ADD_VECTOR, sql.ADD_CHUNK)
}


class Adder:
    """Add to an open transaction; made anew for each, and forgotten with it.

    Args:
        db: the connection, inside the transaction.
        fulltext: whether the store keeps full text.
    """

    def __init__(self, db: sqlite3.Connection, *, fulltext: bool) -> None:
        self._db = db
        self._fulltext = fulltext
        self._source_ids: dict[str, tuple[int, int]] = {}
        # Ids of rows deleted on the way are not used again: what was added and is not
        # indexed yet is then all that stands from here on.
        (self._first_id,) = db.execute(sql.NEXT_CHUNK).fetchone()
        self._next_id: int = self._first_id

    def index(self) -> None:
        """Index what was added; call it at the end, and before rows are deleted.

        The full text forgets a row by its words, so it must have seen them.
        """
        if self._fulltext and self._next_id > self._first_id:
            self._db.execute(sql.INDEX_CHUNKS, (self._first_id,))
            self._first_id = self._next_id

    def add(self, write: Write) -> Became:
        """Add vectors first, then what needs them; count what it did."""
        if write.canaries is not None:
            row = ("canaries", write.canaries)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)
        self._insert(sql.ADD_VECTOR, write.vectors)
        total = Became()
        for part in write.parts:
            became = self._part(part, write)
            total = Became(*map(sum, zip(total, became, strict=True)))
        deleted = sum(self._remove(uri) for uri in write.removed)
        return total._replace(deleted=deleted)

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert rows, many a statement; the last few one by one."""
        at = 0
        for size, many in _AT_ONCE[statement]:
            while len(rows) - at >= size:
                self._db.execute(many, [*chain.from_iterable(rows[at : at + size])])
                at += size
        self._db.executemany(statement, rows[at:])

    def _part(self, part: Part, write: Write) -> Became:
        if part.restart:
            self._begin_version(part)
        source, generation = self._source_id(part.uri)
        rows, letters = rows_of(part, write, source, generation, first_id=self._next_id)
        self._next_id += len(rows)
        self._insert(sql.ADD_CHUNK, rows)
        self._db.executemany(sql.ADD_DEAD, letters)
        became = Became(len(rows), part.filtered, len(letters))
        resume = (part.resume_offset, part.resume_line, part.resume_ordinal)
        progress = (part.next_ordinal, *resume, part.damage_offset)
        self._db.execute(sql.ADVANCE_VERSION, (*became[:3], *progress, source))
        if part.last:
            self._complete_version(part.uri, source, generation)
        return became

    def _begin_version(self, part: Part) -> None:
        """Start the next version of a source; drop what another attempt left."""
        self._db.execute(sql.BEGIN_VERSION, (part.uri, part.fingerprint))
        self._source_ids.pop(part.uri, None)
        source, generation = self._source_id(part.uri)
        self._delete("source = ? AND generation = ?", source, generation)

    def _complete_version(self, uri: str, source: int, generation: int) -> None:
        """Retire the old version in the transaction that completes the new one."""
        self._delete("source = ? AND generation < ?", source, generation)
        self._db.execute(sql.COMPLETE_VERSION, (source,))
        self._source_ids.pop(uri, None)

    def _source_id(self, uri: str) -> tuple[int, int]:
        """Return a source's id and the generation being written.

        Remembered only while a version is being written, one source at a time.
        """
        known = self._source_ids.get(uri)
        if known is None:
            row = self._db.execute(
                "SELECT id, generation FROM source WHERE uri = ?", (uri,)
            )
            source, generation = row.fetchone()
            known = self._source_ids[uri] = (source, generation + 1)
        return known

    def _remove(self, uri: str) -> int:
        """Forget a source; return how many chunks went with it."""
        (source,) = self._db.execute(
            "SELECT id FROM source WHERE uri = ?", (uri,)
        ).fetchone()
        deleted = self._delete("source = ?", source)
        self._db.execute("DELETE FROM source WHERE id = ?", (source,))
        return deleted

    def _delete(self, where: str, *args: int) -> int:
        """Delete chunks and dead letters; return how many chunks there were."""
        new = f"SELECT 1 FROM chunk WHERE {where} AND id >= ? LIMIT 1"  # noqa: S608  # fixed conditions
        if self._db.execute(new, (*args, self._first_id)).fetchone():
            self.index()
        self._db.execute(f"DELETE FROM dead WHERE {where}", args)  # noqa: S608  # as above
        return self._db.execute(f"DELETE FROM chunk WHERE {where}", args).rowcount  # noqa: S608  # as above
