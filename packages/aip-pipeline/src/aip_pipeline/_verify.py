"""Whether a store agrees with itself."""

from __future__ import annotations

from collections.abc import Iterator

from aip_pipeline.stores import Fault, open_store


def verify(store: str = "sqlite:///aip.db", *, repair: bool = False) -> Iterator[Fault]:
    """Yield everything in a store that is not as it must be.

    The file itself, the full text, rows that nobody owns, each vector's length and
    numbers, each text against its hash, the counts of each source. A repair embeds
    nothing: it mends what can be mended, drops what is broken, and marks the sources
    that the next ingest must read again. It is done when the iterator ends.

    Args:
        store: URL of the store.
        repair: mend what needs no embedding.

    Raises:
        StoreError: there is no such store, or another run is writing to it.
    """
    with open_store(store, create=False) as opened:
        yield from opened.verify(repair=repair)
