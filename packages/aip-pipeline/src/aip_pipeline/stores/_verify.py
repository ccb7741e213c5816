"""A SQLite store against itself: each disagreement found, named and mended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aip_pipeline._canary import read_canaries
from aip_pipeline._fingerprint import text_hasher
from aip_pipeline.embedders._spec import Spec
from aip_pipeline.stores import _verify_sql as sql
from aip_pipeline.stores._protocol import Fault, Remedy
from aip_pipeline.stores._schema import FULLTEXT

BLOCK_ROWS: Final = 1024  # vectors held at once: 6 MiB at 1536 dimensions
_FULLTEXT_NAMES: Final = ("chunk_fts", "chunk_removed")
# What SQLite says of a broken index, as opposed to a full disk or a busy file.
_BROKEN: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT)


class Verification:
    """Compare everything in a store with everything it must agree with.

    Holds one block of vectors; what must be remembered goes into temporary tables.

    Args:
        db: an open connection, used by nobody else meanwhile.
        spec: the embedder's spec; None where the store has none yet.
        fulltext: whether the store keeps full text.
        repair: mend what needs no embedding; mark the sources that need one.
    """

    def __init__(
        self, db: sqlite3.Connection, *, spec: str | None, fulltext: bool, repair: bool
    ) -> None:
        self._db = db
        self._spec = spec
        self._has_fulltext = fulltext
        self._repair = repair

    def faults(self) -> Iterator[Fault]:
        """Yield each fault; all repairs to rows are one transaction, at the end."""
        try:
            yield from self._all_faults()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
            yield self._fault("sqlite", "the file", str(error), remedy="restore")

    def _all_faults(self) -> Iterator[Fault]:
        beyond_repair = False
        for fault in self._file():
            beyond_repair = beyond_repair or fault.remedy == "restore"
            yield fault
        if beyond_repair:
            return
        # First, because every row deleted later is taken out of the full text too.
        yield from self._fulltext()
        with self._transaction() as db:
            for statement in sql.VERIFY_TABLES.split(";\n"):
                db.execute(statement)
            yield from self._orphans()
            yield from self._chunks()
            yield from self._unused_vectors()
            yield from self._counts()
            yield from self._canaries()
            if self._repair:
                for statement in sql.REPAIR.split(";\n"):
                    db.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE" if self._repair else "BEGIN")
        try:
            yield self._db
            self._db.execute("COMMIT" if self._repair else "ROLLBACK")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _fault(
        self,
        check: str,
        where: str,
        what: str,
        *,
        remedy: Remedy = "repair",
        marked: bool = False,
    ) -> Fault:
        """Name a fault; a repair did its part also where an earlier one *marked* it."""
        mended = marked or (self._repair and remedy != "restore")
        return Fault(check, where, what, remedy, mended)

    def _file(self) -> Iterator[Fault]:
        """Ask SQLite; an index that disagrees with its table can be built anew."""
        said = self._integrity()
        left = said
        if said and self._repair:
            self._db.execute("REINDEX")
            left = self._integrity()
        for what in said:
            index = "index" in what and what not in left
            may_mend = index if self._repair else "index" in what
            remedy: Remedy = "repair" if may_mend else "restore"
            yield self._fault("sqlite", "the file", what, remedy=remedy)

    def _integrity(self) -> list[str]:
        found = self._db.execute("PRAGMA integrity_check(100)")
        return [row[0] for row in found if row[0] != "ok"]

    def _fulltext(self) -> Iterator[Fault]:
        """Compare the full text with the chunks; it can always be built anew."""
        if not self._has_fulltext:
            return
        marks = ",".join("?" * len(_FULLTEXT_NAMES))
        query = f"SELECT count(*) FROM sqlite_master WHERE name IN ({marks})"  # noqa: S608  # only marks
        (parts,) = self._db.execute(query, _FULLTEXT_NAMES).fetchone()
        try:
            if parts == len(_FULLTEXT_NAMES):
                self._db.execute(sql.CHECK_FULLTEXT)
                return
            what = "a table or trigger of it is missing"
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _BROKEN:
                raise
            what = "it does not agree with the chunks"
        if self._repair:
            with self._transaction() as db:
                for statement in sql.DROP_FULLTEXT.split(";\n"):
                    db.execute(statement)
                run_script(db, FULLTEXT)
                db.execute(sql.REBUILD_FULLTEXT)
        yield self._fault("fulltext", "chunk_fts", what)

    def _orphans(self) -> Iterator[Fault]:
        for table in ("chunk", "dead"):
            query = sql.FIND_ORPHANS.format(table=table)
            for uri, source, generation, rows in self._db.execute(query):
                yield self._fault(
                    "orphan",
                    uri or f"source {source}, which is not there",
                    f"{rows} {table} rows of generation {generation} belong to no "
                    "version that is stored or being written",
                )

    def _chunks(self) -> Iterator[Fault]:
        """Check each owned chunk: its vector, its text against its hash, its JSON."""
        self._note_bad_vectors()
        name = text_hasher(self._spec or "")
        for row in self._db.execute(sql.OWNED_CHUNKS):
            source, uri, pending, ordinal, start, *stored, marked, embedding, bad = row
            check, what = "vector", _vector_fault(embedding, bad)
            if what is None:
                check, what = "chunk", _chunk_fault(name, *stored)
            if what is None:
                continue
            self._db.execute(sql.READ_AGAIN, (source, pending))
            where = f"{uri}, chunk {ordinal} at byte {start}"
            # A bad vector would be taken for known, until a repair takes it out.
            done = bool(marked) and bad is None
            yield self._fault(check, where, what, remedy="ingest", marked=done)

    def _note_bad_vectors(self) -> None:
        """Remember the vectors of another length than the rest, not finite, or zero."""
        import numpy as np  # noqa: PLC0415  # only here is it needed

        wanted = self._vector_bytes()
        cursor = self._db.execute(sql.ALL_VECTORS)
        while rows := cursor.fetchmany(BLOCK_ROWS):
            bad: list[tuple[bytes, str]] = []
            whole: list[tuple[bytes, bytes]] = []
            for text_hash, vector in rows:
                if wanted and len(vector) == wanted:
                    whole.append((text_hash, vector))
                else:
                    bad.append((text_hash, _wrong_length(len(vector), wanted)))
            flat = np.frombuffer(b"".join(row[1] for row in whole), np.float32)
            block = flat.reshape(len(whole), wanted // 4)
            infinite = np.flatnonzero(~np.isfinite(block).all(axis=1))
            what = "its vector has numbers that are not finite"
            bad.extend((whole[i][0], what) for i in infinite.tolist())
            zero = np.flatnonzero(~block.any(axis=1))
            what = "its vector is zero, so it is near to nothing"
            bad.extend((whole[i][0], what) for i in zero.tolist())
            self._db.executemany(sql.NOTE_BAD_VECTOR, bad)

    def _vector_bytes(self) -> int:
        """Tell the right length: what the embedder declares, else the commonest."""
        declared = Spec.parse(self._spec).dimensions if self._spec else None
        if declared is not None:
            return 4 * declared
        row = self._db.execute(sql.COMMONEST_LENGTH).fetchone()
        return 0 if row is None else int(row[0]) // 4 * 4

    def _unused_vectors(self) -> Iterator[Fault]:
        """Name the bad vectors that no chunk uses: they can simply go."""
        for text_hash, what in self._db.execute(sql.UNUSED_BAD_VECTORS):
            where = f"embedding of text {text_hash}, which no chunk uses"
            yield self._fault("vector", where, what)

    def _counts(self) -> Iterator[Fault]:
        for source, uri, pending, what, counted, rows in self._db.execute(
            sql.WRONG_COUNTS
        ):
            # A count too small is only a count; one too large means that rows are lost.
            lost = rows < counted
            if lost:
                self._db.execute(sql.READ_AGAIN, (source, pending))
            yield self._fault(
                "count",
                uri,
                f"{counted} {what} are counted but {rows} are stored",
                remedy="ingest" if lost else "repair",
            )

    def _canaries(self) -> Iterator[Fault]:
        """Check the vectors that tell whether the model is still the same.

        A repair takes out what is damaged: the next run compares its model with those
        that are left, and embeds the three texts, even if it embeds nothing else.
        """
        n_bytes = self._vector_bytes()
        if not n_bytes:
            return
        row = self._db.execute(sql.CANARIES).fetchone()
        found = read_canaries(row and row[0], n_bytes=n_bytes)
        if found.fault is None:
            return
        if self._repair:
            self._db.execute(sql.MARK_CANARIES, (found.repaired(),))
        yield self._fault(
            "canary", "the canaries", found.fault, remedy="ingest", marked=found.marked
        )


def _wrong_length(n_bytes: int, wanted: int) -> str:
    if not n_bytes:
        return "its vector is empty"
    return f"its vector has {n_bytes} bytes instead of {wanted}"


def _vector_fault(embedding: int | None, bad: str | None) -> str | None:
    return "it has no vector" if embedding is None else bad


def _chunk_fault(
    name: Callable[[bytes], bytes],
    text: bytes,
    text_hash: bytes,
    metadata: bytes | None,
) -> str | None:
    if name(text) != text_hash:
        return "its text is not the one that its hash names"
    try:
        json.loads(metadata or b"{}")
    except ValueError:
        return "its metadata is not JSON"
    return None


def run_script(db: sqlite3.Connection, script: str) -> None:
    """Run statements inside the open transaction; executescript would commit it."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
