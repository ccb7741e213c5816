"""A disk that fails on purpose, below the store: at SQLite's statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

from simulated.machine import Machine

INTERRUPTED = 0.1  # share of the statements after which another thread may run

Failure = Literal["full", "io"]
SAID = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "io": ("disk I/O error", sqlite3.SQLITE_IOERR_WRITE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFaults:
    """Say what goes wrong with the disk of one process; nothing by default.

    Args:
        fail_at: the number of the statement from which on it fails.
        kind: how; a full disk fails only what writes.
        times: how many statements fail.
        rolled_back: whether SQLite gives the transaction up with it.
        after: whether a COMMIT fails only after it was done.
        crash_at: the number of the statement at which the process is killed.
        crash_after: whether it is killed when the statement was done.
        commit_s: how long a COMMIT takes.
    """

    fail_at: int | None = None
    kind: Failure = "full"
    times: int = 1
    rolled_back: bool = False
    after: bool = False
    crash_at: int | None = None
    crash_after: bool = False
    commit_s: float = 0.0


class Disk:
    """Count the statements of one process, and make them fail."""

    def __init__(self, machine: Machine, faults: DiskFaults) -> None:
        self.machine = machine
        self.faults = faults
        self.statements = 0
        self.failed = 0

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Put every SQLite file that is opened meanwhile on this disk."""
        connect = sqlite3.connect

        def opened(*args: Any, **settings: Any) -> _Connection:
            made = connect(*args, **settings, factory=_Connection)
            made.disk = self
            return made

        with patch.object(sqlite3, "connect", opened):
            yield

    def before(self, sql: str, connection: sqlite3.Connection) -> None:
        self.machine.pause(share=INTERRUPTED)
        self.statements += 1
        self.machine.note(f"sql {self.statements}: {' '.join(sql.split())[:50]}")
        faults = self.faults
        if self.statements == faults.crash_at and not faults.crash_after:
            self.machine.crash()
        if sql == "COMMIT":
            self.machine.sleep(faults.commit_s)
        if self._fails(sql) and not (faults.after and sql == "COMMIT"):
            self._fail(connection)

    def after(self, sql: str, connection: sqlite3.Connection) -> None:
        faults = self.faults
        if self.statements == faults.crash_at and faults.crash_after:
            self.machine.crash()
        if sql == "COMMIT" and faults.after and self._fails(sql):
            self._fail(connection)

    def _fails(self, sql: str) -> bool:
        faults = self.faults
        if faults.fail_at is None or self.statements < faults.fail_at:
            return False
        reads = sql.lstrip().startswith(("SELECT", "PRAGMA", "BEGIN"))
        if sql == "ROLLBACK" or (reads and faults.kind == "full"):
            return False
        return self.failed < faults.times

    def _fail(self, connection: sqlite3.Connection) -> None:
        self.failed += 1
        said, code = SAID[self.faults.kind]
        self.machine.note(said)
        if self.faults.rolled_back and connection.in_transaction:
            sqlite3.Connection.execute(connection, "ROLLBACK")
        error = sqlite3.OperationalError(said)
        error.sqlite_errorcode = code
        raise error


class _Connection(sqlite3.Connection):
    """A connection whose statements pass by the disk."""

    disk: Disk

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self.disk.before(sql, self)
        cursor = super().execute(sql, *args)
        self.disk.after(sql, self)
        return cursor

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        self.disk.before(sql, self)
        cursor = super().executemany(sql, *args)
        self.disk.after(sql, self)
        return cursor
