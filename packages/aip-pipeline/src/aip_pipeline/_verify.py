"""Whether a store agrees with itself, and a mirror with it."""

from __future__ import annotations

from collections.abc import Iterator

from aip_pipeline._errors import MirrorError
from aip_pipeline._mirror_check import compared
from aip_pipeline.mirrors import Mirror, open_mirror
from aip_pipeline.stores import Fault, open_store


def verify(
    store: str = "sqlite:///aip.db",
    *,
    repair: bool = False,
    mirror: str | Mirror | None = None,
    yes: bool = False,
) -> Iterator[Fault]:
    """Yield everything in a store, and in a mirror of it, that is not as it must be.

    The file itself, the full text, rows that nobody owns, each vector's length and
    numbers, each text against its hash, the counts of each source, the canaries. A
    repair embeds nothing: it mends what can be mended, drops what is broken, and marks
    the sources that the next ingest must read again. It is done when the iterator ends.

    Then, of a mirror: rows that are missing or too many, and each vector and metadata
    against the record's. A repair mends them from the record. It may be called only
    where no event loop runs: from a coroutine, by `asyncio.to_thread`.

    Args:
        store: URL of the store.
        repair: mend what needs no embedding.
        mirror: a spec such as "pinecone:https://HOST/NAMESPACE", or an open-able
            object.
        yes: delete from the mirror also more than a fifth of its rows.

    Raises:
        ConfigError: there is no such mirror, or no key for it.
        StoreError: there is no such store, or another run is writing to it.
        MirrorError: the mirror could not be compared.
    """
    held = open_mirror(mirror) if isinstance(mirror, str) else mirror
    with open_store(store, create=False) as opened:
        sound = True
        for fault in opened.verify(repair=repair):
            sound = sound and fault.mended and fault.remedy == "repair"
            yield fault
        if held is None:
            return
        if not sound:
            raise MirrorError(
                "the mirror was not compared: mend the faults of the record first"
            )
        yield from compared(opened, held, repair=repair, yes=yes)
