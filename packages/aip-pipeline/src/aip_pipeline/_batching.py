"""Texts of many pages to batches that fill one request each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from aip_pipeline._reading import Page
from aip_pipeline.embedders import BatchProfile


@dataclass(slots=True)
class Ticket:
    """Follow one page until every text of it is settled."""

    page: Page
    unsettled: int


class Item(NamedTuple):
    """Hold one text to embed, and the page that waits for it."""

    text_hash: bytes
    text: str
    ticket: Ticket


class Batch(NamedTuple):
    """Hold the items of one request, and the bytes of their texts."""

    items: list[Item]
    n_bytes: int


class Batcher:
    """Fill batches across pages, up to texts, tokens and bytes of one request.

    Holds no more than the pages it was given, which the byte budget bounds.

    Args:
        profile: tells what one request may hold; asked for every batch, because an
            embedder learns how long its tokens are.
        max_texts: the user's own bound on texts in one request.
        max_bytes: that which a budget sets on their bytes; one text goes alone.
        kept_free: texts of the first batch that are left for something else.
    """

    def __init__(
        self,
        profile: Callable[[], BatchProfile],
        *,
        max_texts: int,
        max_bytes: float = inf,
        kept_free: int = 0,
    ) -> None:
        self._profile = profile
        self._texts = max_texts
        self._bytes = max_bytes
        self._filling: list[Item] = []
        self._filling_bytes = 0
        self._ready: asyncio.Queue[Batch | None] = asyncio.Queue()
        self.in_flight = 0
        self._measure(kept_free=kept_free)

    @property
    def ready(self) -> int:
        """Batches that wait for a worker."""
        return self._ready.qsize()

    def put(self, ticket: Ticket) -> None:
        """Take a page's fresh texts."""
        for text_hash, text, n_bytes in ticket.page.fresh:
            if self._filling_bytes + n_bytes > self._max_bytes:
                self.flush()
            self._filling.append(Item(text_hash, text, ticket))
            self._filling_bytes += n_bytes
            if len(self._filling) >= self._max_texts:
                self.flush()

    def flush(self) -> None:
        """Let a batch go that is not full: no more texts will come, or can."""
        if self._filling:
            self._ready.put_nowait(Batch(self._filling, self._filling_bytes))
            self._filling, self._filling_bytes = [], 0
            self._measure(kept_free=0)

    def flush_if_idle(self) -> None:
        """Let the last texts go when everything else waits for them."""
        if not self.in_flight and not self.ready:
            self.flush()

    def close(self, *, workers: int) -> None:
        """Let the rest go, and tell the workers that it was the last."""
        self.flush()
        for _ in range(workers):
            self._ready.put_nowait(None)

    async def get(self) -> Batch | None:
        """Wait for a batch; None when there will be no more."""
        batch = await self._ready.get()
        self.in_flight += batch is not None
        return batch

    def done(self) -> None:
        """Say that a batch is settled."""
        self.in_flight -= 1

    def _measure(self, *, kept_free: int) -> None:
        """Set the bounds of the next batch."""
        profile = self._profile()
        texts = min(self._texts, profile.max_texts)
        self._max_texts = max(1, texts - kept_free)
        tokens_bytes = int(profile.max_tokens * profile.bytes_per_token)
        self._max_bytes = min(profile.max_bytes, tokens_bytes, self._bytes)
