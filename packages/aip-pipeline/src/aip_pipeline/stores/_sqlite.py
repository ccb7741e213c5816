"""The default store: one SQLite file, searched exactly."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from aip_pipeline._errors import ConfigError, SpaceMismatch, StoreError
from aip_pipeline.stores import _schema as sql
from aip_pipeline.stores._adder import Adder
from aip_pipeline.stores._explain import explained
from aip_pipeline.stores._holder import holder_of, this_process
from aip_pipeline.stores._identity import (
    NAMELESS,
    is_nameless,
    refuse_nameless,
    version_of,
)
from aip_pipeline.stores._ledger import Ledger
from aip_pipeline.stores._protocol import (
    Became,
    Counts,
    DeadLetter,
    Entry,
    Fault,
    Hit,
    Settled,
    SourceState,
    StoreStatus,
    Write,
)
from aip_pipeline.stores._rows import entry_of, hit_of, letter_of
from aip_pipeline.stores._scan import matching, nearest
from aip_pipeline.stores._verify import Verification, run_script

MAX_LOOKED_UP = 500  # SQLite's oldest default allows 999 parameters


class SqliteStore:
    """Keep everything in one SQLite file; full text by FTS5, vectors as BLOBs.

    Python's sqlite3 can often not load extensions, so vectors are compared by numpy,
    exactly, a block at a time.

    Args:
        path: the file; made on first use.
        create: whether to make the file where there is none.

    Raises:
        StoreError: the file is missing, is not a store, or cannot be written.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self._create = create
        self._connection: sqlite3.Connection | None = None
        # A store may be opened and closed by different threads, one after the other.
        self._lock = FileLock(f"{self.path}.lock", blocking=False, thread_local=False)

    def __enter__(self) -> Self:
        """Open the file, making its tables where there are none."""
        if not self._create and not self.exists():
            raise StoreError(
                f"no store at {self.path}: run `aip ingest` first, or name one "
                "with --store sqlite:///PATH"
            )
        try:
            with self._named():
                self._connect()
                self._ensure_tables()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; the last connection to close leaves no WAL behind."""
        self._close()
        self._lock.release()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        frozen = self._is_frozen()
        name = f"{self.path.absolute().as_uri()}?immutable=1"
        self._connection = sqlite3.connect(
            name if frozen else self.path,
            timeout=30,
            isolation_level=None,
            check_same_thread=False,
            uri=frozen,
        )
        version_of(self._db, self.path)  # before a pragma changes a file of others
        for pragma in () if frozen else sql.PRAGMAS:
            self._db.execute(pragma)

    def _is_frozen(self) -> bool:
        """Tell whether a whole store lies where nothing can be written, only read.

        A WAL beside it means that a run goes on, or was killed: without a place to
        write, what is in the WAL could not be seen.
        """
        if self._create or os.access(self.path.parent, os.W_OK):
            return False
        return not Path(f"{self.path}-wal").exists()

    def exists(self) -> bool:
        """Tell whether there is a file to open."""
        return self.path.exists()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"the store at {self.path} is used outside its `with`")
        return self._connection

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn SQLite's errors into one sentence with the path and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(explained(self.path, error)) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # After "disk full" SQLite may have rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _ensure_tables(self) -> None:
        if version_of(self._db, self.path):
            return
        with self._transaction() as db:
            if not version_of(db, self.path):
                for statement in sql.TABLES.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")

    def _has_dead(self) -> bool:
        return self._db.execute("SELECT 1 FROM dead LIMIT 1").fetchone() is not None

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,))
        found = row.fetchone()
        return None if found is None else str(found[0])

    def check(self, *, spec: str) -> None:
        """Compare the embedder of a run with the one that made the store.

        Raises:
            SpaceMismatch: another embedder's vectors are stored.
            StoreError: whose vectors are stored is no longer known.
        """
        with self._named():
            refuse_nameless(self._db, self.path)
            stored = self._meta("embedder")
            if stored in (None, spec) or not self.has_vectors():
                return
        raise SpaceMismatch(
            f"the store at {self.path} holds vectors of {stored!r}, which cannot be "
            f"compared with those of {spec!r}: use that embedder, or a new store with "
            "--store",
            stored=str(stored),
            asked=spec,
        )

    def claim(self, *, spec: str, base_url: str | None, fulltext: bool | None) -> None:
        """Make the store this embedder's, or check that it is; keep other runs out.

        Two runs at once would pay for the same texts. The lock is the operating
        system's, so a killed run leaves none behind.

        Raises:
            StoreError: another run is writing to the store, or rows are missing.
            SpaceMismatch: another embedder's vectors are stored.
            ConfigError: the store's full text is not what was asked for.
        """
        self._keep_others_out()
        self.check(spec=spec)
        self._refuse_gaps()
        with self._named():
            self._db.execute(sql.WRITER_CACHE)
        with self._transaction() as db:
            stored = self._meta("embedder")
            if stored is None:
                wanted = "0" if fulltext is False else "1"
                db.execute("INSERT INTO meta VALUES ('fulltext', ?)", (wanted,))
                if wanted == "1":
                    run_script(db, sql.FULLTEXT)
            elif fulltext is False and self._meta("fulltext") == "1":
                raise ConfigError(
                    f"the store at {self.path} was made with full text: leave out "
                    "--no-fulltext, or use a new store with --store"
                )
            if stored != spec:
                # What the last embedder refused, this one may take.
                db.execute("DELETE FROM meta WHERE key = 'canaries'")
                db.execute("UPDATE source SET fingerprint = NULL")
            meta = [("embedder", spec), ("base_url", base_url or "")]
            meta.append(("run", this_process()))
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)

    def _is_being_written(self) -> bool:
        """Tell whether a run holds the lock, by taking it for a moment."""
        if not Path(self._lock.lock_file).exists():
            return False
        try:
            with self._lock:
                return False
        except Timeout:
            return True
        except OSError:  # of another user: who runs there is not to be known
            return False

    def _refuse_gaps(self) -> None:
        """Refuse a store whose chunks, or all its vectors, were deleted from outside.

        A run would call their sources unchanged, and say that all is stored. To look
        for each chunk's vector would read the whole store; `verify` does.
        """
        with self._named():
            counted, held, blind = self._db.execute(sql.HELD).fetchone()
        if counted != held or blind:
            what = f"{counted:,} chunks are counted but {held:,} are stored"
            raise StoreError(
                f"rows are missing from the store at {self.path} "
                f"({'it has no vectors' if counted == held else what}): "
                "run `aip verify --repair`, then ingest again"
            )

    def _keep_others_out(self) -> None:
        if self._lock.is_locked:  # by us: it is given back once
            return
        try:
            # Long enough for `aip status`, which only looks.
            self._lock.acquire(blocking=True, timeout=0.5)
        except Timeout as error:
            raise StoreError(
                f"another run is writing to the store at {self.path}: wait for it, "
                "or use another store with --store"
            ) from error
        except OSError as error:
            raise StoreError(
                f"cannot lock the store at {self.path} ({error.strerror}): check the "
                "rights of its folder"
            ) from error

    def verify(self, *, repair: bool) -> Iterator[Fault]:
        """Yield each way in which the store disagrees with itself; see `verify`.

        Nobody may write meanwhile. Repairs are durable once the iterator ends.

        Raises:
            StoreError: another run is writing to the store.
        """
        self._keep_others_out()
        with self._named():
            if is_nameless(self._db):
                yield Fault("sqlite", "the table meta", NAMELESS, "restore", False)
                return
            spec, fulltext = self._meta("embedder"), self._meta("fulltext") == "1"
            yield from Verification(
                self._db, spec=spec, fulltext=fulltext, repair=repair
            ).faults()

    def ledger(self, mirror: str) -> Ledger:
        """Return what a mirror was told; nobody else may write meanwhile."""
        self._keep_others_out()
        return Ledger(self._transaction, mirror=mirror)

    def embedder(self) -> tuple[str, str | None]:
        """Return the spec and base URL of the embedder that made the store.

        Raises:
            StoreError: nothing was ever ingested, or the store lost its name.
        """
        with self._named():
            refuse_nameless(self._db, self.path)
            spec = self._meta("embedder")
            if spec is None or (not self.has_vectors() and not self._has_dead()):
                raise StoreError(
                    f"the store at {self.path} is empty: run `aip ingest` first, on "
                    "something that holds text"
                )
            return spec, self._meta("base_url") or None

    def source(self, uri: str) -> SourceState | None:
        """Return what is known of a source."""
        with self._named():
            row = self._db.execute(sql.FIND_SOURCE, (uri,)).fetchone()
        if row is None:
            return None
        live, following = Counts(*row[2:5]), Counts(*row[6:9])
        return SourceState(row[0], row[1], live, row[5], following, *row[9:])

    def has_vectors(self) -> bool:
        """Tell whether any vector is stored."""
        with self._named():
            found = self._db.execute("SELECT 1 FROM embedding LIMIT 1")
            return found.fetchone() is not None

    def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Return those of the hashes whose vectors are stored."""
        found: set[bytes] = set()
        with self._named():
            for start in range(0, len(hashes), MAX_LOOKED_UP):
                some = hashes[start : start + MAX_LOOKED_UP]
                marks = ",".join("?" * len(some))
                rows = self._db.execute(
                    f"SELECT text_hash FROM embedding WHERE text_hash IN ({marks})",  # noqa: S608  # only marks
                    some,
                )
                found.update(row[0] for row in rows)
        return found

    @contextmanager
    def transaction(self) -> Iterator[Callable[[Write], Became]]:
        """Open a transaction; what is yielded adds to it, the end makes it durable.

        Raises:
            StoreError: the disk is full, or the file cannot be written; what earlier
                transactions stored is whole, and nothing of this one is.
        """
        with self._transaction() as db:
            adder = Adder(db, fulltext=self._meta("fulltext") == "1")
            yield adder.add
            adder.index()

    def commit(self, write: Write) -> Became:
        """Make one *write* durable in a transaction of its own.

        Raises:
            StoreError: as for `transaction`.
        """
        with self.transaction() as add:
            return add(write)

    def canaries(self) -> str | None:
        """Return the canary vectors, as the run that made the store wrote them."""
        with self._named():
            return self._meta("canaries")

    def uris(self) -> Iterator[str]:
        """Yield every source, in order."""
        with self._named():
            for row in self._db.execute("SELECT uri FROM source ORDER BY uri"):
                yield row[0]

    def by_vector(self, vector: bytes, *, k: int) -> list[tuple[int, float]]:
        """Return the ids and cosines of the k nearest chunks, nearest first."""
        with self._named():
            return nearest(self._db, vector, k=k)

    def by_words(self, query: str, *, k: int) -> list[tuple[int, float]]:
        """Return the ids and BM25 scores of the k best chunks, best first.

        Raises:
            ConfigError: the store was made without full text.
        """
        with self._named():
            if self._meta("fulltext") != "1":
                raise ConfigError(
                    f"the store at {self.path} was made with --no-fulltext: "
                    "search it with --mode vector"
                )
            return matching(self._db, query, k=k)

    def hits(self, ranked: Iterable[tuple[int, float]]) -> list[Hit]:
        """Return the passages of ranked chunk ids, in their order.

        A chunk that a run has replaced since it was ranked is left out.
        """
        scores = dict(ranked)
        wanted, by_id = list(scores), dict[int, tuple[Any, ...]]()
        with self._named():
            for start in range(0, len(wanted), MAX_LOOKED_UP):
                some = wanted[start : start + MAX_LOOKED_UP]
                query = sql.FIND_HITS.format(marks=",".join("?" * len(some)))
                by_id.update((row[0], row) for row in self._db.execute(query, some))
        return [
            hit_of(by_id[chunk], score)
            for chunk, score in scores.items()
            if chunk in by_id
        ]

    def entries(self) -> Iterator[Entry]:
        """Yield every live chunk by source and ordinal, all of one moment.

        A run may write meanwhile; what it commits later is not seen. Holds one chunk.

        Raises:
            StoreError: a chunk has no vector.
        """
        with self._named():
            for row in self._db.execute(sql.LIVE_ENTRIES):
                if row[-1] is None:
                    raise StoreError(
                        f"chunk {row[1]} of {row[0]} has no vector in the store at "
                        f"{self.path}: run `aip verify --repair`, then ingest again"
                    )
                yield entry_of(row)

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield what stands dead, by source and offset."""
        with self._named():
            for row in self._db.execute(sql.ALL_DEAD):
                yield letter_of(row)

    def dead_letter(self, number: int) -> DeadLetter | None:
        """Return the dead letter of an id."""
        with self._named():
            row = self._db.execute(sql.DEAD_BY_ID, (number,)).fetchone()
        return None if row is None else letter_of(row)

    def dead_after(self, number: int, *, limit: int) -> list[DeadLetter]:
        """Return the next dead letters by id."""
        with self._named():
            return [*map(letter_of, self._db.execute(sql.DEAD_AFTER, (number, limit)))]

    def settle(self, settled: Settled) -> None:
        """Make durable, in one transaction, what became of dead letters.

        Raises:
            StoreError: the disk is full, or the file cannot be written.
        """
        with self._transaction() as db:
            db.executemany(sql.ADD_VECTOR, settled.vectors)
            first = db.execute(sql.NEXT_CHUNK).fetchone()
            for number, text_hash in settled.stored:
                db.execute(sql.REVIVE, (text_hash, number))
                db.execute(sql.COUNT_REVIVED, (number,))
                db.execute("DELETE FROM dead WHERE id = ?", (number,))
            for number, poison in settled.refused:
                db.execute(sql.REFUSE_AGAIN, (*poison, number))
            db.executemany(sql.READ_AGAIN, ((number,) for number in settled.read_again))
            if self._meta("fulltext") == "1":
                db.execute(sql.INDEX_CHUNKS, first)

    def status(self) -> StoreStatus:
        """Return the store's totals."""
        running = self._is_being_written()
        with self._named():
            # A run may be waiting for its first answer.
            spec = (running and self._meta("embedder")) or self.embedder()[0]
            pid, since = holder_of(self._meta("run") if running else None)
            totals = self._db.execute(sql.TOTALS).fetchone()
            one = self._db.execute("SELECT length(vector) FROM embedding LIMIT 1")
            (length,) = one.fetchone() or (None,)
        return StoreStatus(
            sources=totals[0],
            unfinished=totals[1],
            chunks=totals[2],
            pending=totals[3],
            running=running,
            embeddings=totals[4],
            dead=totals[5],
            embedder=spec,
            dimensions=None if length is None else length // 4,
            pid=pid,
            since=since,
        )
