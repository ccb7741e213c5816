"""What a store holds, as JSON lines that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from aip_pipeline._errors import StoreError
from aip_pipeline._numbers import written
from aip_pipeline.stores import Entry, open_store


def export(store: str = "sqlite:///aip.db") -> Iterator[Entry]:
    """Yield every stored chunk with its vector, by source and place.

    All are of one moment, though a run may write meanwhile. Holds one chunk; the
    store is open until the iterator is exhausted or closed.

    Args:
        store: URL of the store.

    Raises:
        StoreError: there is no such store, or a chunk has no vector.
    """
    with open_store(store, create=False) as opened:
        yield from opened.entries()


def json_line(entry: Entry) -> str:
    """Write a chunk as one JSON object; `within` only where there is one.

    Raises:
        StoreError: the vector holds a number that JSON cannot carry.

    >>> chunk = Entry("1f", "/a", 0, 2, 1, None, "hi", bytes.fromhex("cdcccc3d"), {})
    >>> json_line(chunk)[-54:]
    '"text": "hi", "vector": [0.100000001], "metadata": {}}'
    """
    place = {"id": entry.id, "source": entry.source, "start": entry.start}
    place |= {"end": entry.end, "line": entry.line}
    if entry.within is not None:
        place["within"] = entry.within
    head = json.dumps({**place, "text": entry.text}, ensure_ascii=False)
    metadata = json.dumps(entry.metadata, ensure_ascii=False)
    return f'{head[:-1]}, "vector": {_numbers(entry)}, "metadata": {metadata}}}'


def _numbers(entry: Entry) -> str:
    try:
        return written(entry.vector)
    except ValueError as error:
        raise StoreError(
            f"the vector of {entry.source} at byte {entry.start} holds a number that "
            "is not finite: run `aip verify --repair`, then ingest again"
        ) from error
