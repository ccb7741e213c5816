"""Dead letters, tried once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from aip_pipeline._canary import CanaryCheck
from aip_pipeline._errors import ConfigError, EmbedderRefused
from aip_pipeline._fingerprint import text_hasher
from aip_pipeline._first_request import embed_first
from aip_pipeline.embedders import Embedder, open_embedder
from aip_pipeline.stores import (
    DeadLetter,
    Poison,
    Settled,
    Store,
    Write,
    open_store,
    opened,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PAGE_LETTERS = 64  # letters held at once, embedded together and stored together


@dataclass(slots=True, kw_only=True)
class RetryReport:
    """Count what became of the dead letters that were tried again.

    retried = stored + refused + to_read_again. `embedded` counts texts that were paid
    for: one that is known, or that stands in two letters, is not paid for twice.
    """

    retried: int = 0
    stored: int = 0
    refused: int = 0
    to_read_again: int = 0
    embedded: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the JSON object that `aip dead retry --json` prints."""
        return asdict(self)


async def retry_dead(
    ids: Iterable[int] = (),
    *,
    store: str = "sqlite:///aip.db",
    embedder: Embedder | None = None,
    base_url: str | None = None,
    on_left: Callable[[DeadLetter], None] | None = None,
) -> RetryReport:
    """Embed refused texts again; store those that are accepted now.

    What could not be read has no text: its source is marked, and the next ingest
    reads it again. Texts go 64 at a time, each such page one transaction.

    Args:
        ids: dead letters, as `aip dead list` names them; all where none is named.
        store: URL of the store.
        embedder: used instead of the one that made the store; of the same spec.
        base_url: root of the server's API, where it has moved.
        on_left: called with each letter that is still dead, with its new reason.

    Raises:
        ConfigError: no such dead letter; nothing was done.
        SpaceMismatch: the server's model is no longer the one that made the store.
        StoreError: there is no such store, or another run is writing to it.
        EmbedderError: the embedder gives no answer; what was stored stays stored.
    """
    async with opened(open_store(store, create=False)) as held:
        wanted = sorted(set(ids))
        used = embedder
        if used is None:
            used = await asyncio.to_thread(_its_embedder, held, base_url)
        await asyncio.to_thread(_claim, held, used, base_url, wanted)
        retry = _Retry(held, used, on_left=on_left)
        pages = _pages(held, wanted)
        async with used:
            while page := await asyncio.to_thread(next, pages, None):
                await retry.page(page)
        return retry.report


def _its_embedder(store: Store, base_url: str | None) -> Embedder:
    spec, stored_url = store.embedder()
    return open_embedder(spec, base_url=base_url or stored_url)


def _claim(
    store: Store, used: Embedder, base_url: str | None, wanted: Sequence[int]
) -> None:
    """Keep other runs out; see that every letter asked for is there."""
    _, stored_url = store.embedder()
    for number in wanted:
        if store.dead_letter(number) is None:
            raise ConfigError(
                f"no dead letter {number} in the store: see `aip dead list`; nothing "
                "was done"
            )
    store.claim(spec=used.spec, base_url=base_url or stored_url, fulltext=None)


def _pages(store: Store, wanted: Sequence[int]) -> Iterator[list[DeadLetter]]:
    """Yield the letters by id, a page at a time; those settled may be gone by then."""
    if not wanted:
        last = 0
        while page := store.dead_after(last, limit=PAGE_LETTERS):
            last = page[-1].id or 0
            yield page
    for start in range(0, len(wanted), PAGE_LETTERS):
        found = map(store.dead_letter, wanted[start : start + PAGE_LETTERS])
        yield [letter for letter in found if letter is not None]


class _Retry:
    """Try pages of letters, one after the other."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        on_left: Callable[[DeadLetter], None] | None,
    ) -> None:
        self.report = RetryReport()
        self._store = store
        self._embedder = embedder
        self._on_left = on_left
        self._hash = text_hasher(embedder.spec)
        self._canaries: str | None = None  # to be stored
        self._canary = CanaryCheck(embedder.spec)
        self._canary.load(store.canaries(), has_vectors=store.has_vectors())

    async def page(self, letters: Sequence[DeadLetter]) -> None:
        """Embed what has text and is not known; settle all in one transaction."""
        texts = {self._hash(one.text.encode()): one.text for one in letters if one.text}
        known = await asyncio.to_thread(self._store.known, list(texts))
        fresh = [(name, text) for name, text in texts.items() if name not in known]
        settled, poison = Settled(), dict[bytes, Poison]()
        if fresh:
            await self._embed(fresh, settled, poison, attempts=1)
        if self._canaries is not None:  # before any vector that they vouch for
            write, self._canaries = Write(canaries=self._canaries), None
            await asyncio.to_thread(self._store.commit, write)
        left = [self._sort(letter, settled, poison) for letter in letters]
        await asyncio.to_thread(self._store.settle, settled)
        self._count(settled)
        if self._on_left is not None:
            for letter in filter(None, left):
                self._on_left(letter)

    async def _embed(
        self,
        batch: list[tuple[bytes, str]],
        settled: Settled,
        poison: dict[bytes, Poison],
        *,
        attempts: int,
    ) -> None:
        """Embed a batch; one that is refused is halved until the bad text is alone."""
        try:
            array = await self._ask([text for _, text in batch])
        except EmbedderRefused as error:
            if len(batch) == 1:
                poison[batch[0][0]] = Poison(error.reason, attempts)
                return
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                await self._embed(half, settled, poison, attempts=attempts + 1)
            return
        rows = (row.tobytes() for row in array)
        settled.vectors.extend(
            (name, row) for (name, _), row in zip(batch, rows, strict=True)
        )

    async def _ask(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed texts; the first go with the canaries, as in any run."""
        if self._canary.passed:
            return await self._embedder.embed(texts)
        room = self._embedder.profile.max_texts
        return await embed_first(
            self._embedder, texts, room=room, check=self._pass_canaries
        )

    def _pass_canaries(self, vectors: NDArray[np.float32]) -> None:
        self._canaries = self._canary.check(vectors)

    def _sort(
        self, letter: DeadLetter, settled: Settled, poison: dict[bytes, Poison]
    ) -> DeadLetter | None:
        """Note what becomes of a letter; return it where it stays."""
        number = letter.id or 0
        if not letter.text:
            settled.read_again.append(number)
            return letter
        name = self._hash(letter.text.encode())
        if name not in poison:
            settled.stored.append((number, name))
            return None
        settled.refused.append((number, poison[name]))
        return letter._replace(reason=poison[name].reason)

    def _count(self, settled: Settled) -> None:
        report, usage = self.report, self._embedder.usage
        report.stored += len(settled.stored)
        report.refused += len(settled.refused)
        report.to_read_again += len(settled.read_again)
        report.retried = report.stored + report.refused + report.to_read_again
        report.embedded += len(settled.vectors)
        report.requests = usage.requests
        report.retries = usage.retries
        report.tokens = usage.tokens
