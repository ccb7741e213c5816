"""What readers and the splitter yield."""

from __future__ import annotations

from ._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# A NamedTuple's own __new__ is a Python function around this one.
new_tuple = tuple.__new__


class Record(NamedTuple):
    """One unit of a source: a piece of text, a line, a JSON object, a row.

    ``start`` and ``end`` are half-open byte offsets in the decompressed source.
    ``key`` is None for pieces of plain text, whose bytes are the text itself; any other
    record has a key (its id; empty where none was named) and is a document of its own.
    """

    source: str
    text: str
    start: int
    end: int
    line: int
    key: str | None
    metadata: Mapping[str, Any]


def source_of(item: object) -> str:
    """Return the source of a record; raise TypeError for anything else.

    What takes records asks it of the first, for the texts or rows of a reader come
    easily in their place.
    """
    if not isinstance(item, Record):
        raise TypeError(
            f"records are wanted, not {type(item).__name__}: open_records(path) and "
            "the .records() of every reader yield them"
        )
    return item.source


class Chunk(NamedTuple):
    """A clean piece of a document, and the raw bytes it came from.

    Clean the decoded bytes ``[start, end)`` of the source, and it is ``text`` again.
    Where the bytes are not the text itself (JSON, CSV, ...) the span is the whole
    record's, and ``within`` gives (start, end) in characters of its decoded text.
    ``ordinal`` counts from 0 in each source; ``line`` (from 1) is the line of the first
    raw character, or of the record.
    """

    source: str
    text: str
    start: int
    end: int
    within: tuple[int, int] | None
    ordinal: int
    metadata: Mapping[str, Any]
    line: int
