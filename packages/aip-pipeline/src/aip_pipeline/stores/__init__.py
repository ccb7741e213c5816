"""Systems of record: where chunks, vectors and progress are kept together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from aip_pipeline._errors import ConfigError
from aip_pipeline.stores._ledger import Ledger
from aip_pipeline.stores._protocol import (
    Became,
    Counts,
    DeadLetter,
    Entry,
    Fault,
    Hit,
    Live,
    Part,
    Poison,
    Settled,
    SourceState,
    Store,
    StoreStatus,
    Write,
    letters_of,
)
from aip_pipeline.stores._sqlite import SqliteStore

__all__ = [
    "Became",
    "Counts",
    "DeadLetter",
    "Entry",
    "Fault",
    "Hit",
    "Ledger",
    "Live",
    "Part",
    "Poison",
    "Settled",
    "SourceState",
    "SqliteStore",
    "Store",
    "StoreStatus",
    "Write",
    "letters_of",
    "open_store",
    "opened",
]

StoreT = TypeVar("StoreT", bound=Store)

_SQLITE = "sqlite:///"


def open_store(url: str, *, create: bool = True) -> SqliteStore:
    """Return the store that a URL names, not yet opened: enter it with `with`.

    Args:
        url: `sqlite:///PATH`: a relative path, or an absolute one with a fourth slash.
        create: whether to make the store where there is none.

    Raises:
        ConfigError: no such kind of store, or no URL at all.

    >>> open_store("sqlite:///notes.db").path.name
    'notes.db'
    """
    if not isinstance(url, str):
        raise ConfigError(
            f"a store is named by a URL, not by {url!r}: use 'sqlite:///PATH', such as "
            "'sqlite:///aip.db'"
        )
    if not url.startswith(_SQLITE) or url == _SQLITE:
        kind = url.split(":", 1)[0]
        raise ConfigError(
            f"unknown store {kind!r} in --store: use sqlite:///PATH, such as "
            "sqlite:///aip.db"
        )
    return SqliteStore(url.removeprefix(_SQLITE), create=create)


@asynccontextmanager
async def opened(store: StoreT) -> AsyncIterator[StoreT]:
    """Open a store for a coroutine; opening may wait for a disk or for a lock."""
    await asyncio.to_thread(store.__enter__)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.__exit__, None, None, None)
