"""Vectors and pages to transactions, on a thread of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from aip_pipeline._reading import Page
from aip_pipeline.stores import Became, Poison, Store, Write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_TRANSACTION_BYTES = 4 << 20
# A transaction costs a disk flush and a segment of the full-text index, however small
# it is; what a kill could lose of this is vectors not yet stored.
MAX_TRANSACTION_S = 0.25
REMOVED_SOURCE_BYTES = 16 << 10  # what forgetting a source may write, about


@dataclass(slots=True, kw_only=True)
class Vectors:
    """Hold the embeddings of one batch until they are stored."""

    hashes: list[bytes]
    array: NDArray[np.float32]


class Canaries(NamedTuple):
    """Hold the canary vectors of a new store."""

    written: str


class Removal(NamedTuple):
    """Name sources to forget."""

    uris: list[str]


Item: TypeAlias = Vectors | Page | Canaries | Removal


@dataclass(slots=True)
class Committed:
    """Tell what one transaction made durable."""

    became: Became = field(default_factory=Became)
    pages: list[Page] = field(default_factory=list)
    embedded: int = 0


class Writer:
    """Group what comes into transactions, each bounded in bytes and in time.

    The queue is bounded by the run's byte budget: all in it was admitted there.

    Args:
        max_bytes: text and vectors in one transaction.
        claimed: hashes being embedded; given up here once durable.
        poison: texts that were refused, by hash; filled by the run.
        on_commit: called on this thread after each transaction.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        claimed: set[bytes],
        poison: Mapping[bytes, Poison],
        on_commit: Callable[[Committed], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._claimed = claimed
        self._poison = poison
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()

    @property
    def waiting(self) -> int:
        """Items that wait to be stored."""
        return self._queue.qsize()

    def put(self, item: Item) -> None:
        """Hand over what should become durable, in this order."""
        self._queue.put(item)

    def close(self) -> None:
        """Say that nothing more will come."""
        self._queue.put(None)

    def run(self, store: Store) -> None:
        """Store what comes until `close`.

        Raises:
            StoreError: a transaction failed; those before it stand.
        """
        last = False
        while not last and (item := self._queue.get()) is not None:
            last = self._transaction(store, item)

    def _transaction(self, store: Store, first: Item) -> bool:
        """Store what comes, up to the bounds; tell whether `close` was met."""
        write, done, size = Write(poison=self._poison), Committed(), 0
        deadline = monotonic() + MAX_TRANSACTION_S
        item: Item | None = first
        while item is not None:
            size += self._add(item, write, done)
            if size >= self._max_bytes:
                break
            try:
                item = self._queue.get(timeout=max(0.0, deadline - monotonic()))
            except queue.Empty:
                break
        done.became = store.commit(write)
        self._claimed.difference_update(name for name, _ in write.vectors)
        self._on_commit(done)
        return item is None

    def _add(self, item: Item, write: Write, done: Committed) -> int:
        if isinstance(item, Page):
            write.parts.extend(item.parts)
            done.pages.append(item)
            return item.cost_bytes
        if isinstance(item, Removal):
            write.removed.extend(item.uris)
            return len(item.uris) * REMOVED_SOURCE_BYTES
        if isinstance(item, Canaries):
            write.canaries = item.written
            return len(item.written)
        rows = [row.tobytes() for row in item.array]
        write.vectors.extend(zip(item.hashes, rows, strict=True))
        done.embedded += len(rows)
        return int(item.array.nbytes)
