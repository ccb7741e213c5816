"""A mirror in this process, which dies when it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from aip_pipeline import MirrorRow


class Died(BaseException):
    """What a kill does to a run: nothing catches it."""


@dataclass(kw_only=True)
class Shelf:
    """Keep rows in a dict.

    Args:
        dies_at: the number of the call that ends the run, before or after it is done.
        after: whether that call does its work first.
    """

    name: str = "shelf"
    max_metadata_bytes: int = 1 << 20
    dies_at: int | None = None
    after: bool = False
    rows: dict[str, MirrorRow] = field(default_factory=dict)
    log: list[tuple[str, list[str]]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    async def upsert(self, rows: Sequence[MirrorRow]) -> None:
        self._call("upsert", [row.id for row in rows])
        self.rows |= {row.id: row for row in rows}
        self._called()

    async def delete(self, ids: Sequence[str]) -> None:
        self._call("delete", list(ids))
        for name in ids:
            self.rows.pop(name, None)
        self._called()

    async def ids(self) -> AsyncIterator[Sequence[str]]:
        names = sorted(self.rows)
        for at in range(0, len(names), 5):
            yield names[at : at + 5]

    async def fetch(self, ids: Sequence[str]) -> Sequence[MirrorRow]:
        return [self.rows[name] for name in ids if name in self.rows]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    def _call(self, what: str, ids: list[str]) -> None:
        self.calls[what] += 1
        self.log.append((what, ids))
        if not self.after and self.calls.total() == self.dies_at:
            raise Died

    def _called(self) -> None:
        if self.after and self.calls.total() == self.dies_at:
            raise Died
