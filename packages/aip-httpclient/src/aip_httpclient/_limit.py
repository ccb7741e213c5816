"""Concurrency: how many requests the server can hold, found or given."""

from __future__ import annotations

import math
from typing import Protocol

_START = 16
_BETA = 0.85
_GAIN = 1.35
_QUEUEING = 1.25
_HEADROOM = 1.05
_RECOVERY_RTTS = 8.0
_RESUME = 0.9
_SRTT_WEIGHT = 0.1
_LOW_DRIFT = 1.005
_SAME = 0.85
_DEEPEST = 0.5


class Limit(Protocol):
    """What admission asks and tells about concurrency.

    Attributes:
        value: how many requests may be on the wire.
        full: whether a call had to wait for a slot since the last look.
        srtt_s: smoothed round trip of good answers, 0.0 before the first.
        changed_at: loop time of the last change of *value*.
    """

    value: float
    full: bool
    srtt_s: float
    changed_at: float

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:
        """Learn from a good answer."""

    def on_overload(self, now: float, *, started: float) -> None:
        """Learn that the server turned a request away."""

    def resume(self, now: float, *, remembered: float) -> None:
        """Start again after an outage."""


class FixedLimit:
    """The caller's own number."""

    def __init__(self, value: int) -> None:
        self.value = float(value)
        self.full = False
        self.srtt_s = 0.0
        self.changed_at = -math.inf

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:  # noqa: ARG002  # the protocol's shape
        """Smooth the round trip; it times probes and pauses."""
        self.srtt_s += (_SRTT_WEIGHT if self.srtt_s else 1.0) * (rtt_s - self.srtt_s)

    def on_overload(self, now: float, *, started: float) -> None:
        """Keep the number."""

    def resume(self, now: float, *, remembered: float) -> None:
        """Keep the number."""


class AdaptiveLimit:
    """Find the server's knee: the least concurrency with the most throughput.

    Slow start doubles the limit once per round trip. It ends when the server turns
    requests away, when doubling buys less than 35 % more throughput, or when the mean
    round trip grows by a quarter: then Little's law (throughput times the least round
    trip) says how many requests the server really works on. From there the limit
    follows a cubic curve through the last known edge, as TCP does (RFC 9438): near it
    quickly, around it for long, past it slowly. A server that turns requests away
    gets one cut by 0.85 per smoothed round trip.

    Args:
        most: never beyond this; one client has no more file descriptors to spare.
    """

    def __init__(self, *, start: int = _START, most: int = 1000) -> None:
        self.value = float(start)
        self.full = False
        self.srtt_s = 0.0
        self.changed_at = -math.inf
        self.slow_start = True
        self._most = float(most)
        self._low_s = math.inf
        self._since = -math.inf
        self._count = 0
        self._sum_s = 0.0
        self._needed = float(start)
        self._before: float | None = None
        self._edge = float(most)
        self._curve_from = 0.0
        self._cut_at = -math.inf
        self._doubted: tuple[float, float] | None = None

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:
        """Count it, if it was sent under the present limit."""
        self.srtt_s += (_SRTT_WEIGHT if self.srtt_s else 1.0) * (rtt_s - self.srtt_s)
        if started < self._since:
            return
        self._count += 1
        self._sum_s += rtt_s
        if self._count >= self._needed:
            self._look(now)

    def on_overload(self, now: float, *, started: float) -> None:
        """Cut once per smoothed round trip; count the rest into the edge."""
        if started > self._cut_at and now >= self._cut_at + self.srtt_s:
            self._edge = self.value
            self._floor = self.value * _DEEPEST
            self._cut_at = now
            self._doubted = None
            self._change(now, self.value * _BETA)
        elif started <= self._cut_at:
            # Sent under the old limit: one more that did not fit in.
            self._edge = max(self._floor, self._edge - 1.0)
            self.value = max(1.0, min(self.value, self._edge))
        self.slow_start = False
        self._curve_from = now

    def resume(self, now: float, *, remembered: float) -> None:
        """Begin at 0.9 of what worked before the outage."""
        self.slow_start = False
        self._edge = remembered
        self._curve_from = now - self.srtt_s
        self._doubted = None
        self._change(now, remembered * _RESUME)

    def _change(self, now: float, value: float) -> None:
        value = min(self._most, max(1.0, value))
        if value != self.value:
            self.changed_at = now
        self.value = value
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._sum_s = 0.0
        self._needed = max(8.0, 0.75 * self.value)
        self.full = False

    def _look(self, now: float) -> None:
        """Judge the calls sent and answered under the present limit."""
        rtt_s = self._sum_s / self._count
        self._low_s = min(rtt_s, self._low_s * _LOW_DRIFT)
        if not self.full:
            # Limited by the caller or the rate: no verdict on the server.
            self._restart(now)
            return
        throughput = self.value / rtt_s
        if self._doubted is not None:
            self._judge_doubt(now, throughput=throughput, rtt_s=rtt_s)
        elif rtt_s > _QUEUEING * self._low_s or self._flat(throughput):
            self._step_back(now, throughput=max(throughput, self._before or 0.0))
        elif self.slow_start:
            self._before = throughput
            self._change(now, self.value * 2.0)
        else:
            self._change(now, self._curve(now))

    def _flat(self, throughput: float) -> bool:
        before = self._before if self.slow_start else None
        return before is not None and throughput < before * _GAIN

    def _step_back(self, now: float, *, throughput: float) -> None:
        """Go to the knee that Little's law gives, and check it next time."""
        knee = min(self.value, throughput * self._low_s * _HEADROOM)
        self._doubted = (self.value, throughput)
        self._before = None
        self.slow_start = False
        self._edge = knee
        self._curve_from = now - _RECOVERY_RTTS * self.srtt_s
        self._change(now, knee)

    def _judge_doubt(self, now: float, *, throughput: float, rtt_s: float) -> None:
        """Undo a step back that cost throughput: the answers are slow, not queued."""
        value, before = self._doubted or (self.value, throughput)
        self._doubted = None
        if throughput < before * _SAME:
            self._low_s = rtt_s
            self._edge = value
            self._change(now, value)
        else:
            self._restart(now)

    def _curve(self, now: float) -> float:
        """Follow RFC 9438's cubic, in round trips, through the last edge."""
        rtts = (now - self._curve_from) / max(self.srtt_s, 1e-6)
        scale = self._edge * (1.0 - _BETA) / _RECOVERY_RTTS**3
        target = self._edge + scale * (rtts - _RECOVERY_RTTS) ** 3
        return max(self.value, min(target, self.value * _GAIN))
