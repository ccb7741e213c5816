"""Chunks, letters and hits to rows of the tables, and back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from aip_pipeline._fingerprint import entry_id
from aip_pipeline._json import decode, encode
from aip_pipeline.stores._protocol import (
    DeadLetter,
    Entry,
    Hit,
    Part,
    Write,
    letters_of,
)

_NOWHERE = None, None


def rows_of(
    part: Part, write: Write, source: int, generation: int, *, first_id: int
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Turn a part into rows of `chunk`, with ids from *first_id* on, and of `dead`."""
    ids, poison = count(first_id), write.poison
    rows: list[tuple[object, ...]] = []
    # No call and no attribute for each chunk: this runs while others want the GIL.
    for chunk, text_hash in zip(part.chunks, part.hashes, strict=True):
        if text_hash in poison:
            continue
        _, text, start, end, within, ordinal, metadata, line = chunk
        first, last = within or _NOWHERE
        more = encode(dict(metadata)).decode() if metadata else None
        where = ordinal, start, end, first, last, line
        rows.append((next(ids), source, generation, *where, text_hash, text, more))
    letters: list[tuple[object, ...]] = [
        (source, generation, *letter[1:8], *_more(letter.within, letter.metadata))
        for letter in letters_of(part, write.poison)
    ]
    return rows, letters


def _more(
    within: tuple[int, int] | None, metadata: Mapping[str, object] | None
) -> tuple[int | None, int | None, str | None]:
    first, last = within or _NOWHERE
    # A dict, for what readers give may be a view of one, which JSON does not know.
    return first, last, encode(dict(metadata)).decode() if metadata else None


def letter_of(row: tuple[Any, ...]) -> DeadLetter:
    *start, first, last, metadata, number = row
    within = None if first is None else (first, last)
    more = decode(metadata) if metadata else None
    return DeadLetter(*start)._replace(within=within, metadata=more, id=number)


def hit_of(row: tuple[Any, ...], score: float) -> Hit:
    _, uri, start, end, within_start, within_end, line, text, metadata = row
    within = None if within_start is None else (within_start, within_end)
    more = decode(metadata) if metadata else {}
    return Hit(score, uri, start, end, line, text, more, within)


def entry_of(row: tuple[Any, ...]) -> Entry:
    uri, ordinal, start, end, first, last, line, text_hash, text, metadata, vector = row
    within = None if first is None else (first, last)
    more = decode(metadata) if metadata else {}
    name = entry_id(uri, ordinal=ordinal, text_hash=text_hash)
    return Entry(name, uri, start, end, line, within, text, vector, more)
