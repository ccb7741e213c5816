"""What the pipeline asks of a mirror, and what it gives to one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeAlias

MirrorValue: TypeAlias = str | int | float | bool | list[str]


class MirrorRow(NamedTuple):
    """Hold one passage as a mirror keeps it.

    `id` names source, place and text, as in `export`; `vector` holds the bytes of
    float32 numbers. `metadata` holds what the record's own does, and `source`, `start`,
    `end`, `line`, of a part of a record `within_start` and `within_end`, and `text`, or
    `text_hash` where the text is too long for the mirror.
    """

    id: str
    vector: bytes
    metadata: Mapping[str, MirrorValue]


class Mirror(Protocol):
    """Keep a copy of the rows; open it with ``async with``, then call the rest.

    A mirror decides nothing: what it should hold is known by the record alone. No
    method is given more than 500 rows or ids at once, nor, but for a single row, more
    than 2 MiB. What fails is raised as `MirrorError`, and tried again by a later run.

    Attributes:
        name: what the mirror is called, for ever and without a secret. What it was
            told is kept under this name.
        max_metadata_bytes: of a row's metadata, as JSON.
    """

    @property
    def name(self) -> str: ...

    @property
    def max_metadata_bytes(self) -> int: ...

    async def upsert(self, rows: Sequence[MirrorRow]) -> None:
        """Keep *rows*, each in the place of the one of its id; return when kept.

        Raises:
            MirrorRefused: the rows are not accepted; fewer of them may be.
            MirrorError: the mirror cannot be reached, or does not accept the key.
        """
        ...

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget the rows of *ids*, those that are there; return when forgotten."""
        ...

    def ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all that is held, in any order, a bounded number at once."""
        ...

    async def fetch(self, ids: Sequence[str]) -> Sequence[MirrorRow]:
        """Return the rows of *ids*, those that are there, in any order."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
