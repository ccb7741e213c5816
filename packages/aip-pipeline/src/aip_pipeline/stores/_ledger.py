"""What each mirror was told of a SQLite store, and what it should hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from aip_pipeline._errors import StoreError
from aip_pipeline.stores import _ledger_sql as sql
from aip_pipeline.stores._protocol import Live
from aip_pipeline.stores._rows import entry_of

PAGE_ROWS: Final = 500
PAGE_BYTES: Final = 2 << 20


class Ledger:
    """Remember what one mirror was told; hold the ids that it lists, while compared.

    A row is noted as doubtful before anything of it is sent, and as acknowledged
    after; so a death at any moment leaves in the mirror no row that the ledger does
    not know, and in the ledger no row acknowledged that the mirror does not hold as it
    was sent. What is chosen and listed goes into temporary tables, which the disk
    holds; in memory is one page.

    Args:
        transaction: opens one on a connection that is the only writer.
        mirror: the mirror's name.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        *,
        mirror: str,
    ) -> None:
        self._transaction = transaction
        with transaction() as db:
            for statement in sql.TABLES.split(";\n"):
                db.execute(statement)
            db.execute(sql.ADD_MIRROR, (mirror,))
            (self._mirror,) = db.execute(sql.FIND_MIRROR, (mirror,)).fetchone()

    def choose_missing(self) -> int:
        """Choose the live chunks that are not acknowledged; return how many."""
        return self._choose(sql.MISSING, self._mirror)

    def choose_all(self) -> int:
        """Choose all live chunks; return how many."""
        return self._choose(sql.ALL_LIVE)

    def _choose(self, query: str, *args: int) -> int:
        with self._transaction() as db:
            db.execute("DELETE FROM temp.chosen")
            return db.execute(query, args).rowcount

    def pages(self) -> Iterator[list[Live]]:
        """Yield what was chosen, a page at a time.

        Raises:
            StoreError: a chunk has no vector.
        """
        last = 0
        while found := self._page(last):
            last, page = found
            yield page

    def _page(self, last: int) -> tuple[int, list[Live]] | None:
        """Return the next page, and the number of its last row."""
        page: list[Live] = []
        n_bytes = 0
        with self._transaction() as db:
            for number, chunk, *row in db.execute(sql.PAGE, (last, PAGE_ROWS)):
                uri, ordinal, *_, text_hash, text, metadata, vector = row
                if vector is None:
                    raise StoreError(
                        f"chunk {ordinal} of {uri} has no vector in the store: run "
                        "`aip verify --repair`, then ingest again"
                    )
                size = len(vector) + 4 * len(text) + 4 * len(metadata or "")
                if page and n_bytes + size > PAGE_BYTES:
                    break
                last, n_bytes = number, n_bytes + size
                page.append(Live(chunk, text_hash, entry_of(tuple(row))))
        return (last, page) if page else None

    def acknowledged(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the digests with which rows of these ids were acknowledged."""
        marks = ",".join("?" * len(ids))
        query = sql.ACKNOWLEDGED.format(marks=marks)
        with self._transaction() as db:
            return dict(db.execute(query, (self._mirror, *ids)).fetchall())

    def doubt(self, rows: Iterable[tuple[str, int | None]]) -> None:
        """Note ids, and the chunks they are of, before anything of them is sent."""
        noted = list(rows)
        with self._transaction() as db:
            more = ((self._mirror, name, chunk, None) for name, chunk in noted)
            db.executemany(sql.NOTE, more)
            db.executemany(sql.UNREFUSE, ((self._mirror, row[0]) for row in noted))

    def acknowledge(
        self,
        rows: Iterable[tuple[str, int, bytes]],
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Note ids, chunks and digests that the mirror holds, or why it refused."""
        with self._transaction() as db:
            db.executemany(sql.NOTE, ((self._mirror, *row) for row in rows))
            more = ((self._mirror, *pair) for pair in (refused or {}).items())
            db.executemany(sql.REFUSE, more)

    def accepted_any(self) -> bool:
        """Tell whether the mirror ever accepted a row."""
        with self._transaction() as db:
            return bool(db.execute(sql.ACCEPTED, (self._mirror,)).fetchone()[0])

    def refused(self) -> tuple[int, str, str, str] | None:
        """Count the rows that are refused; name the first, its source and why."""
        with self._transaction() as db:
            found = db.execute(sql.REFUSED, (self._mirror,)).fetchone()
        return None if found is None else (found[0], found[1], found[2], found[3])

    def retired(self) -> list[str]:
        """Return a page of ids that the mirror may hold though no chunk is of them."""
        with self._transaction() as db:
            found = db.execute(sql.RETIRED, (self._mirror, PAGE_ROWS))
            return [row[0] for row in found]

    def count_retired(self) -> int:
        """Count the ids that the mirror may hold though no chunk is of them."""
        with self._transaction() as db:
            (count,) = db.execute(sql.COUNT_RETIRED, (self._mirror,)).fetchone()
        return int(count)

    def forget(self, ids: Iterable[str]) -> None:
        """Forget ids that the mirror is known not to hold any more."""
        with self._transaction() as db:
            db.executemany(sql.FORGET, ((self._mirror, name) for name in ids))

    def forget_retired(self) -> None:
        """Forget all ids that no chunk is of: the mirror was seen not to hold them."""
        with self._transaction() as db:
            db.execute(sql.FORGET_RETIRED, (self._mirror,))

    def note_listed(self, ids: Iterable[str]) -> None:
        """Note ids that the mirror says it holds."""
        with self._transaction() as db:
            db.executemany(sql.NOTE_LISTED, ((name,) for name in ids))

    def take_listed(self, ids: Iterable[str]) -> set[str]:
        """Return which of the ids are listed; they are not any more."""
        with self._transaction() as db:
            take = sql.TAKE_LISTED
            return {name for name in ids if db.execute(take, (name,)).rowcount}

    def listed(self, after: str) -> list[str]:
        """Return a page of ids that are listed and were not taken, in order."""
        with self._transaction() as db:
            return [row[0] for row in db.execute(sql.LISTED, (after, PAGE_ROWS))]

    def count_listed(self) -> int:
        """Count the ids that are listed and were not taken."""
        with self._transaction() as db:
            (count,) = db.execute("SELECT count(*) FROM temp.listed").fetchone()
        return int(count)
