"""What can be wrong with a server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Literal, TypeAlias

Overload: TypeAlias = Literal["shed", "hang", "slow", "collapse"]
Limiter: TypeAlias = Literal["window", "bucket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A lognormal service time.

    Args:
        median_s: half of the requests take longer.
        sigma: spread of the logarithm; 0 makes all equal.
    """

    median_s: float
    sigma: float = 0.0

    def draw(self, random: Random) -> float:
        """Return one service time in seconds."""
        return self.median_s * random.lognormvariate(0.0, self.sigma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout:
    """A time when every request gets *status* at once.

    Args:
        start_s: seconds after the server's first request.
        end_s: seconds after the server's first request.
        status: the answer; None cuts the connection instead.
        share: the part of the requests that it hits.
    """

    start_s: float
    end_s: float
    status: int | None = 503
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Say how a server misbehaves; nothing is wrong by default.

    The shares of resets, hangs and errors exclude each other: their sum is at most 1.

    Args:
        seed: of every random choice, drawn in the order of arrival.
        latency: service time before the handler runs, or None for none.
        capacity: requests worked on at once, or None for no limit.
        queue: requests that may wait for capacity under ``overload="shed"``.
        overload: beyond capacity (and queue) requests are answered *shed_status* at
            once (``shed``), wait as long as it takes (``hang``), are all worked on,
            each slower in proportion (``slow``), or in proportion to the square, so
            that the whole gets less done (``collapse``).
        shed_status: 503 or, as many servers of models say it, 429.
        requests_per_window: more are answered 429, with whole seconds of Retry-After.
        tokens_per_window: the same for the sum of the ``X-Cost`` headers.
        window_s: length of the window in seconds.
        limiter: ``window`` counts afresh in each window; ``bucket`` refills evenly
            and holds one window's worth.
        states_limits: put ``x-ratelimit-limit-*``, ``-remaining-*`` and ``-reset-*``
            into every answer of 200 and 429, as OpenAI does.
        throttle_rate: share of requests answered 429 whatever the limits.
        retry_after_s: Retry-After of those and of 429s by *shed_status*, or None to
            send none.
        error_rate: share of requests answered *error_status*.
        error_status: the status of those.
        reset_rate: share of connections cut before the work.
        reset_after_rate: share of connections cut after the work, before the answer.
        hang_rate: share of requests never answered; they take no capacity.
        straggler_rate: share of requests that take *straggler_factor* times as long.
        straggler_factor: see above.
        slow_body_s: seconds between the headers of an answer and its body.
        keep_alive_s: idle connections are closed after this many seconds.
        honours_keys: do the work once per ``Idempotency-Key``; a repeat gets the
            first answer again.
        brownouts: times when nothing works.

    Raises:
        ValueError: a share is outside 0 to 1.
    """

    seed: int = 0
    latency: Latency | None = None
    capacity: int | None = None
    queue: int = 0
    overload: Overload = "shed"
    shed_status: int = 503
    requests_per_window: int | None = None
    tokens_per_window: float | None = None
    window_s: float = 1.0
    limiter: Limiter = "window"
    states_limits: bool = False
    throttle_rate: float = 0.0
    retry_after_s: float | None = 0.0
    error_rate: float = 0.0
    error_status: int = 500
    reset_rate: float = 0.0
    reset_after_rate: float = 0.0
    hang_rate: float = 0.0
    straggler_rate: float = 0.0
    straggler_factor: float = 10.0
    slow_body_s: float = 0.0
    keep_alive_s: float = 75.0
    honours_keys: bool = False
    brownouts: tuple[Brownout, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name.endswith("_rate") and not 0 <= value <= 1:
                raise ValueError(f"Faults({each.name}={value!r}) is outside 0 to 1")
        fates = self.reset_rate + self.hang_rate + self.error_rate
        if fates + self.reset_after_rate > 1:
            raise ValueError("the shares of resets, hangs and errors exceed 1 together")
