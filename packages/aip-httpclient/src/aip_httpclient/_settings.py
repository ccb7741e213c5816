"""What the caller may say about pace and repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tenacity import RetryCallState

WaitStrategy: TypeAlias = Callable[[RetryCallState], float]
"""A tenacity ``wait``, such as ``tenacity.wait_exponential_jitter()``."""

StopStrategy: TypeAlias = Callable[[RetryCallState], bool]
"""A tenacity ``stop``, such as ``tenacity.stop_after_attempt(3)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Declare what the server allows in a window.

    Args:
        requests: requests per window, or None for no such limit.
        tokens: sum of the calls' ``cost`` per window, or None for no such limit.
        per_s: length of the window in seconds.

    Raises:
        ValueError: a limit or the window is not positive, or no limit is given.

    >>> Rate(requests=3000, per_s=60).requests
    3000
    """

    requests: float | None = None
    tokens: float | None = None
    per_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what can't be kept."""
        if self.requests is None and self.tokens is None:
            raise ValueError("Rate needs requests=, tokens= or both")
        for name in ("requests", "tokens", "per_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Rate({name}={value!r}) is not above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Say how failed attempts are repeated.

    Without a strategy of your own: full jitter between 0 and
    ``base_s * 2**n``, at most ``cap_s`` (Brooker, "Exponential Backoff And
    Jitter", 2015), and never less than the server's Retry-After.

    Args:
        attempts: executed attempts per call; an answer of 429 or 503 does not count.
        base_s: backoff before the second attempt, at most, in seconds.
        cap_s: the longest backoff in seconds.
        max_retry_after_s: a longer Retry-After is cut to this many seconds.
        budget_ratio: repeats per success that the client as a whole allows itself.
        budget_per_s: repeats per second beyond that; beyond both, repeats wait.
        wait: a tenacity wait strategy instead of the jitter above.
        stop: a tenacity stop strategy instead of ``attempts``.

    Raises:
        ValueError: a number is out of its range.
    """

    attempts: int = 6
    base_s: float = 0.2
    cap_s: float = 10.0
    max_retry_after_s: float = 120.0
    budget_ratio: float = 0.2
    budget_per_s: float = 10.0
    wait: WaitStrategy | None = None
    stop: StopStrategy | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be kept."""
        if self.attempts < 1:
            raise ValueError(f"Retry(attempts={self.attempts!r}) is below 1")
        for name in ("base_s", "cap_s", "max_retry_after_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Retry({name}={getattr(self, name)!r}) is below 0")
        if not self.budget_ratio >= 0:
            raise ValueError(f"Retry(budget_ratio={self.budget_ratio!r}) is below 0")
        if not self.budget_per_s > 0:
            raise ValueError(
                f"Retry(budget_per_s={self.budget_per_s!r}) is not above 0: "
                "without a refill by time a batch job can wait for ever"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """Send a slow attempt a second time, and take whichever answer comes first.

    A hedge can bill twice: a server that charges by the request charges for both,
    and only one that honours ``Idempotency-Key`` may do the work once. So it is off
    by default, and only calls that are safe to repeat are hedged: GET and the like,
    those with an idempotency key, those with ``idempotent=True``.

    Args:
        quantile: an attempt is slow that outlives this quantile of recent answers.
        budget_ratio: second sends per good answer, in the long run.

    Raises:
        ValueError: a number is out of its range.

    >>> Hedge(quantile=0.99).budget_ratio
    0.05
    """

    quantile: float = 0.95
    budget_ratio: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what can't be kept."""
        for name in ("quantile", "budget_ratio"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"Hedge({name}={value!r}) is not between 0 and 1")
