"""Whether a SQLite file is a store of ours, and knows whose vectors it holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aip_pipeline._errors import StoreError
from aip_pipeline.stores._schema import SCHEMA_VERSION

_TABLES = ("chunk", "dead", "embedding", "meta", "source")
_FIND_TABLES = f"""
SELECT name FROM sqlite_master WHERE type = 'table' AND name IN {_TABLES}
"""  # noqa: S608  # fixed names
# A run notes both before it stores anything.
_IS_NAMELESS = """
SELECT (SELECT count(*) FROM meta WHERE key IN ('embedder', 'fulltext')) < 2
    AND (EXISTS (SELECT 1 FROM source) OR EXISTS (SELECT 1 FROM embedding))
"""
NAMELESS = "the rows that say which embedder made it are gone, so its vectors fit none"


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """Return the schema of a store, 0 where nothing is in the file; change nothing.

    Raises:
        StoreError: the file is no store of this program's, or only a part of one.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    found = {name for (name,) in db.execute(_FIND_TABLES)} if version else set()
    if not found and (tables or version):
        raise StoreError(
            f"{path} is a SQLite file that aip did not make: name another with --store "
            "sqlite:///PATH"
        )
    if version not in {0, SCHEMA_VERSION}:
        raise StoreError(
            f"the store at {path} has schema {version}, this program reads "
            f"{SCHEMA_VERSION}: use the program that made it, or a new store"
        )
    lost = sorted({*_TABLES} - found)
    if version and lost:
        raise StoreError(
            f"the store at {path} has lost its table {', '.join(lost)}: restore a copy "
            "of it, or ingest into a new store with --store sqlite:///PATH"
        )
    return int(version)


def is_nameless(db: sqlite3.Connection) -> bool:
    """Tell whether a store holds something, but no longer knows of which embedder."""
    return bool(db.execute(_IS_NAMELESS).fetchone()[0])


def refuse_nameless(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a store that no longer knows which embedder made it.

    Raises:
        StoreError: says what still works.
    """
    if is_nameless(db):
        raise StoreError(
            f"the store at {path} cannot be used: {NAMELESS}: restore a copy of it, or "
            "ingest into a new store with --store sqlite:///PATH"
        )
