"""Texts of many pages to batches that fill one request each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
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


class Batcher:
    """Fill batches across pages, up to texts, tokens and bytes of one request.

    Holds no more than the pages it was given, which the byte budget bounds.

    Args:
        profile: tells what one request may hold; asked for every batch, because an
            embedder learns how long its tokens are.
        max_texts: the user's own bound on texts in one request.
        kept_free: texts of the first batch that are left for something else.
    """

    def __init__(
        self,
        profile: Callable[[], BatchProfile],
        *,
        max_texts: int,
        kept_free: int = 0,
    ) -> None:
        self._profile_now = profile
        self._profile = profile()
        self._max_texts = max_texts
        self._kept_free = kept_free
        self._filling: list[Item] = []
        self._filling_bytes = 0
        self._ready: asyncio.Queue[list[Item] | None] = asyncio.Queue()
        self.in_flight = 0

    @property
    def ready(self) -> int:
        """Batches that wait for a worker."""
        return self._ready.qsize()

    @property
    def _room(self) -> int:
        return max(1, min(self._max_texts, self._profile.max_texts) - self._kept_free)

    def put(self, ticket: Ticket) -> None:
        """Take a page's fresh texts."""
        for text_hash, text in ticket.page.fresh:
            n_bytes = len(text) if text.isascii() else len(text.encode())
            if self._filling and not self._fits(n_bytes):
                self.flush()
            self._filling.append(Item(text_hash, text, ticket))
            self._filling_bytes += n_bytes
            if len(self._filling) >= self._room:
                self.flush()

    def flush(self) -> None:
        """Let a batch go that is not full: no more texts will come, or can."""
        if self._filling:
            self._ready.put_nowait(self._filling)
            self._filling, self._filling_bytes = [], 0
            self._kept_free = 0
            self._profile = self._profile_now()

    def flush_if_idle(self) -> None:
        """Let the last texts go when everything else waits for them."""
        if not self.in_flight and not self.ready:
            self.flush()

    def close(self, *, workers: int) -> None:
        """Let the rest go, and tell the workers that it was the last."""
        self.flush()
        for _ in range(workers):
            self._ready.put_nowait(None)

    async def get(self) -> list[Item] | None:
        """Wait for a batch; None when there will be no more."""
        batch = await self._ready.get()
        self.in_flight += batch is not None
        return batch

    def done(self) -> None:
        """Say that a batch is settled."""
        self.in_flight -= 1

    def _fits(self, n_bytes: int) -> bool:
        total = self._filling_bytes + n_bytes
        profile = self._profile
        return (
            total <= profile.max_bytes
            and profile.estimate_tokens(total) <= profile.max_tokens
        )
