"""Vectors and pages to transactions, on a thread of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from aip_pipeline._reading import Page
from aip_pipeline._report import IngestReport
from aip_pipeline.stores import Became, DeadLetter, Poison, Store, Write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A transaction costs a disk flush and a segment of the full-text index, however small
# it is; a kill loses what the last one held, so both bounds stay small.
MAX_TRANSACTION_BYTES = 8 << 20
MAX_TRANSACTION_S = 0.5


@dataclass(slots=True, kw_only=True)
class Vectors:
    """Hold the embeddings of one batch until they are stored."""

    hashes: list[bytes]
    array: NDArray[np.float32]


class Canaries(NamedTuple):
    """Hold the canary vectors that a store lacks."""

    written: str


Item: TypeAlias = Vectors | Page | Canaries


@dataclass(slots=True)
class Committed:
    """Tell what one transaction made durable; it holds no page."""

    counts: IngestReport = field(default_factory=IngestReport)
    letters: list[DeadLetter] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    def add(self, became: Became) -> None:
        """Count what one write of the transaction did."""
        self.counts.stored += became.stored
        self.counts.filtered += became.filtered
        self.counts.dead += became.dead
        self.counts.deleted += became.deleted


class Writer:
    """Add what comes to a transaction at once; end it after some bytes or some time.

    The queue is bounded by the run's byte budget: all in it was admitted there. What
    was added to a transaction is held by the store, which may spill it to disk, so its
    memory is given back before it is durable. It is counted only after.

    Args:
        claimed: hashes being embedded; given up here once durable.
        poison: texts that were refused, by hash; filled by the run.
        on_added: called on this thread with the bytes a page no longer holds.
        on_commit: called on this thread after each transaction.
    """

    def __init__(
        self,
        *,
        claimed: set[bytes],
        poison: Mapping[bytes, Poison],
        on_added: Callable[[int], object],
        on_commit: Callable[[Committed], object],
    ) -> None:
        self._claimed = claimed
        self._poison = poison
        self._on_added = on_added
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
        done, size, embedded = Committed(), 0, list[bytes]()
        deadline = monotonic() + MAX_TRANSACTION_S
        item: Item | None = first
        with store.transaction() as add:
            while item is not None:
                write = self._write(item, done)
                done.add(add(write))
                embedded.extend(name for name, _ in write.vectors)
                size += self._size(item)
                if size >= MAX_TRANSACTION_BYTES:
                    break
                try:
                    item = self._queue.get(timeout=max(0.0, deadline - monotonic()))
                except queue.Empty:
                    break
        self._claimed.difference_update(embedded)
        done.counts.embedded = len(embedded)
        self._on_commit(done)
        return item is None

    def _write(self, item: Item, done: Committed) -> Write:
        if isinstance(item, Page):
            item.count_into(done.counts)
            done.letters.extend(item.letters(self._poison))
            done.finished.extend(part.uri for part in item.parts if part.last)
            return Write(parts=item.parts, poison=self._poison, removed=item.listed)
        if isinstance(item, Vectors):
            return Write(vectors=list(zip(item.hashes, _rows(item.array), strict=True)))
        return Write(canaries=item.written)

    def _size(self, item: Item) -> int:
        if isinstance(item, Page):
            self._on_added(item.cost_bytes)
            return item.cost_bytes
        if isinstance(item, Vectors):
            return int(item.array.nbytes)
        return len(item.written)


def _rows(array: NDArray[np.float32]) -> list[bytes]:
    """Return each vector's bytes; of a copy of all, a slice is cheaper than a row."""
    raw, size = array.tobytes(), array.itemsize * array.shape[1]
    return [raw[at : at + size] for at in range(0, len(raw), size)]
