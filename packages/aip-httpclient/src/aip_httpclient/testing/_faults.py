"""What can be wrong with a server."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random


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
        status: the answer.
    """

    start_s: float
    end_s: float
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Say how a server misbehaves; nothing is wrong by default.

    Args:
        seed: of every random choice, drawn in the order of arrival.
        latency: service time before the handler runs, or None for none.
        capacity: requests worked on at once, or None for no limit.
        queue: requests that may wait for capacity; the rest are shed with 503.
        requests_per_window: more in one fixed window are answered 429 with the
            whole seconds to the window's end as Retry-After.
        window_s: length of that window in seconds.
        throttle_rate: share of requests answered 429 whatever the window.
        retry_after_s: Retry-After of those, or None to send none.
        error_rate: share of requests answered *error_status*.
        error_status: the status of those.
        reset_rate: share of connections cut before the work.
        reset_after_rate: share of connections cut after the work, before the answer.
        hang_rate: share of requests never answered.
        brownouts: times when nothing works.

    Raises:
        ValueError: a share is outside 0 to 1.
    """

    seed: int = 0
    latency: Latency | None = None
    capacity: int | None = None
    queue: int = 0
    requests_per_window: int | None = None
    window_s: float = 1.0
    throttle_rate: float = 0.0
    retry_after_s: float | None = 0.0
    error_rate: float = 0.0
    error_status: int = 500
    reset_rate: float = 0.0
    reset_after_rate: float = 0.0
    hang_rate: float = 0.0
    brownouts: tuple[Brownout, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name.endswith("_rate") and not 0 <= value <= 1:
                raise ValueError(f"Faults({each.name}={value!r}) is outside 0 to 1")
