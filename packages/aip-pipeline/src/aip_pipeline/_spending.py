"""A hard stop on the tokens that a run may spend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

# A byte-level tokenizer makes no more tokens than there are bytes, so before the first
# answer this guess can only be too high.
MOST_TOKENS_PER_BYTE = 1.0
SAFETY = 1.2  # texts differ: over what was learned so far
BATCHES = 4  # that a budget holds at the least, so that little of it is left unused


class TokenBudget:
    """Admit requests while what is spent and what is in flight stay under a bound.

    Args:
        max_tokens: the bound; None for no bound.

    Attributes:
        first_tokens: what the first request needs, where that is over the bound.
    """

    def __init__(self, max_tokens: int | None) -> None:
        self.max_tokens = max_tokens
        self.first_tokens: int | None = None
        self._in_flight_tokens = 0.0
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._settled_bytes = 0
        self._assumed_tokens = 0.0

    async def reserve(
        self, n_bytes: int, *, spent_tokens: Callable[[], int]
    ) -> float | None:
        """Set tokens aside for *n_bytes* of text; None when they might not suffice.

        As long as something is in flight, its answer may tell that texts cost less
        than was set aside: that is waited for.

        >>> budget = TokenBudget(100)
        >>> asyncio.run(budget.reserve(60, spent_tokens=int))
        60.0
        >>> budget.settle(60.0, n_bytes=60)  # the server did not tell what it used
        >>> asyncio.run(budget.reserve(60, spent_tokens=int)) is None
        True
        """
        while (reserved := self._reserve(n_bytes, spent_tokens())) is None:
            if not self._in_flight:
                if not self._settled_bytes:
                    self.first_tokens = n_bytes  # as `_reserve` counts them
                return None
            await self._settled.wait()
        return reserved

    def _reserve(self, n_bytes: int, spent_tokens: int) -> float | None:
        wanted = n_bytes * self._tokens_per_byte(spent_tokens)
        if self.max_tokens is not None:
            # A server that never tells what it used is taken to have used it all.
            total = (
                (spent_tokens or self._assumed_tokens) + self._in_flight_tokens + wanted
            )
            if total > self.max_tokens:
                return None
        self._in_flight_tokens += wanted
        self._in_flight += 1
        return wanted

    @property
    def max_bytes(self) -> float:
        """How much text a batch may hold, so that several fit into the bound."""
        return batch_bytes(self.max_tokens)

    def settle(self, reserved: float, *, n_bytes: int) -> None:
        """Give a reservation back: what it cost is now counted as spent."""
        self._in_flight_tokens -= reserved
        self._assumed_tokens += reserved
        self._settled_bytes += n_bytes
        self._in_flight -= 1
        self._settled.set()
        self._settled = asyncio.Event()

    def _tokens_per_byte(self, spent_tokens: int) -> float:
        if not spent_tokens or not self._settled_bytes:
            return MOST_TOKENS_PER_BYTE
        learned = SAFETY * spent_tokens / self._settled_bytes
        return min(MOST_TOKENS_PER_BYTE, learned)


def batch_bytes(max_tokens: int | None) -> float:
    """Bound the text of one batch by the bound on tokens.

    >>> batch_bytes(20_000), batch_bytes(None)
    (5000.0, inf)
    """
    return inf if max_tokens is None else max_tokens / MOST_TOKENS_PER_BYTE / BATCHES
