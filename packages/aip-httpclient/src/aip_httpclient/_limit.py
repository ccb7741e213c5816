"""Concurrency: how many requests the server can hold, found or given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ._cohort import Cohort

_START = 16
_BETA = 0.85
_GAIN = 1.35
_PROBE = 1.1
_QUEUEING = 1.20
_QUEUED_SHARE = 0.05
_QUEUED = 4.0
_RECOVERY_RTTS = 8.0
_HOLD = 4.0
_LONGEST_HOLD = 32.0
_SAME_EDGE = 0.05
_RESUME = 0.9
_SRTT_WEIGHT = 0.1
_LOW_DRIFT = 1.002
_BELIEF = 1.15
_FALL = 0.3
_DEEPEST = 0.5
_SURE = 1.5
_RAMP_RTTS = 0.25
_RAMP_STEPS = 32
_RAMP_FROM = 4.0
_SHARE = 0.5
_SLOW_START_SHARE = 0.6
_DOUBT_SHARE = 0.25
_STEEPEST = 0.4


class Limit(Protocol):
    """What admission asks and tells about concurrency.

    Attributes:
        value: how many requests may be on the wire.
        full: whether a call had to wait for a slot since the last look.
        srtt_s: smoothed round trip of good answers, 0.0 before the first.
        changed_at: loop time of the last change of *value*.
        cohort: the calls that are measured now; told of each that is sent.
    """

    value: float
    full: bool
    srtt_s: float
    changed_at: float
    cohort: Cohort

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:
        """Learn from a good answer."""

    def on_overload(self, now: float, *, started: float) -> None:
        """Learn that the server turned a request away."""

    def resume(self, now: float, *, remembered: float) -> None:
        """Start again after an outage."""

    def advance(self, now: float) -> float | None:
        """Grow if it is time; return when to ask again, or None."""


class FixedLimit:
    """The caller's own number."""

    def __init__(self, value: int) -> None:
        self.value = float(value)
        self.full = False
        self.srtt_s = 0.0
        self.changed_at = -math.inf
        self.cohort = Cohort()

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:  # noqa: ARG002  # the protocol's shape
        """Smooth the round trip; it times probes and pauses."""
        self.srtt_s += (_SRTT_WEIGHT if self.srtt_s else 1.0) * (rtt_s - self.srtt_s)

    def on_overload(self, now: float, *, started: float) -> None:
        """Keep the number."""

    def resume(self, now: float, *, remembered: float) -> None:
        """Keep the number."""

    def advance(self, now: float) -> float | None:  # noqa: ARG002  # the protocol's shape
        """Keep the number."""
        return None


class AdaptiveLimit:
    """Find the server's knee: the least concurrency with the most throughput.

    Slow start doubles the limit once per round trip. It ends when the server turns
    requests away, when doubling buys less than 35 % more throughput, or when the mean
    round trip grows by a quarter: then the limit goes back to where it was, waits for
    the crowd to thin out, and Little's law (limit over round trip, times the least
    round trip) says how many requests the server really works on. From there it
    follows a cubic curve through the last known edge, as TCP does (RFC 9438): near it
    quickly, around it for long, past it slowly. A server that turns requests away
    gets one cut by 0.85 per smoothed round trip; where it did so before, the limit
    then stays just below for 4 to 32 round trips before it tries again.

    Args:
        start: the limit before anything is known.
        most: never beyond this; a process has only so many file descriptors.
    """

    def __init__(self, *, start: int = _START, most: int = 1000) -> None:
        self.value = self._start = float(start)
        self.full = False
        self.srtt_s = 0.0
        self.changed_at = -math.inf
        self.slow_start = True
        self._most = float(most)
        self._low_s = math.inf
        self._ramp: _Ramp | None = None
        self.cohort = Cohort()
        self._before: float | None = None
        self._edge = float(most)
        self._hold_rtts = 0.0
        self._floor = 1.0
        self._curve_from = 0.0
        self._cut_at = -math.inf
        self._doubt: _Doubt | None = None
        self._restart(-math.inf)

    def on_success(self, now: float, *, rtt_s: float, started: float) -> None:
        """Count it, if it was sent under the present limit."""
        self.srtt_s += (_SRTT_WEIGHT if self.srtt_s else 1.0) * (rtt_s - self.srtt_s)
        if self.cohort.add(now, rtt_s=rtt_s, started=started):
            self._look(now)

    def on_overload(self, now: float, *, started: float) -> None:
        """Cut once per smoothed round trip; count the rest into the edge."""
        if started > self._cut_at and now >= self._cut_at + self.srtt_s:
            self._know_edge()
            self._floor = self.value * _DEEPEST
            self._cut_at = now
            self._doubt = None
            self._change(now, self.value * _BETA)
        elif started <= self._cut_at:
            # Sent under the old limit: one more that did not fit in.
            self._edge = max(self._floor, self._edge - 1.0)
            self.value = max(1.0, min(self.value, self._edge))
        self.slow_start = False
        self._curve_from = now

    def _know_edge(self) -> None:
        """Note what worked; an edge met again is believed twice as long."""
        edge = max(1.0, self.value - 1.0)
        same = abs(edge - self._edge) <= _SAME_EDGE * edge
        longer = max(_HOLD, 2.0 * self._hold_rtts)
        self._hold_rtts = min(_LONGEST_HOLD, longer) if same else 0.0
        self._edge = edge

    def resume(self, now: float, *, remembered: float) -> None:
        """Begin at 0.9 of what worked before the outage."""
        self._edge, self._hold_rtts = remembered, 0.0
        self._curve_from = now - self.srtt_s
        self._doubt = None
        self._change(now, remembered * _RESUME)

    def advance(self, now: float) -> float | None:
        """Let a growing limit grow; return when it will next, or None at its end.

        A jump is spread over a quarter of a round trip: a server that turns requests
        away does so at once, and stops it where the edge really is.
        """
        ramp = self._ramp
        if ramp is None:
            return None
        if now >= ramp.next_at:
            # One step however late: what nobody asked for was not tried out.
            self.value = min(ramp.target, self.value + ramp.step)
            ramp.next_at = now + ramp.every_s
        if self.value >= ramp.target:
            self._ramp = None
            if not self.slow_start:
                self._restart(now)  # on the way up the crowd was smaller
            return None
        return ramp.next_at

    def _change(self, now: float, value: float, *, settle_s: float = 0.0) -> None:
        value = min(self._most, max(1.0, value))
        before = self.value
        self._ramp = None
        if value != before:
            self.changed_at = now
        if value - before > _RAMP_FROM:
            every_s = self.srtt_s * _RAMP_RTTS / _RAMP_STEPS
            self._ramp = _Ramp(value, (value - before) / _RAMP_STEPS, every_s, now)
        else:
            self.value = value
        self._restart(now + settle_s)

    def _restart(self, since: float) -> None:
        target = self._ramp.target if self._ramp else self.value
        quick = self.slow_start
        share = _SLOW_START_SHARE if quick else _SHARE
        if self._doubt is not None:
            share = _DOUBT_SHARE
        self.cohort.restart(since, size=share * target, quick=quick)
        self.full = False

    def _look(self, now: float) -> None:
        """Judge the calls sent and answered under the present limit."""
        rtt_s = self.cohort.mean_s
        self.advance(now)
        if self._doubt is not None:
            self._judge(now, rtt_s=rtt_s, doubt=self._doubt)
            return
        self._low_s = min(self._surely_s(), self._low_s * _LOW_DRIFT)
        if not self.full:
            # Limited by the caller or the rate: no verdict on the server.
            self._restart(now)
            return
        throughput = self.cohort.crowd / rtt_s
        allowed = _QUEUEING + _SURE * self.cohort.error_s / rtt_s
        if rtt_s > allowed * self._low_s or self._flat(throughput):
            self._step_back(now, rtt_s=rtt_s)
        elif self.slow_start:
            self._before = throughput
            self._change(now, self.value * 2.0)
        else:
            self._change(now, self._curve(now))

    def _surely_s(self) -> float:
        """Give what the round trip is surely below: the least of many is luck."""
        return self.cohort.mean_s + _SURE * self.cohort.error_s

    def _flat(self, throughput: float) -> bool:
        before = self._before if self.slow_start else None
        return before is not None and throughput < before * _GAIN

    def _step_back(self, now: float, *, rtt_s: float) -> None:
        """Go to the knee that Little's law gives, and look again from there."""
        knee = self._knee(rtt_s)
        # Below the start no queue was ever seen: what grows there is our own cost.
        lower = min(self.value, max(knee, self.value * _STEEPEST, self._start))
        self._doubt = _Doubt(self.value, rtt_s, self.slow_start)
        self.slow_start = False
        # Until the crowd of the higher limit has thinned out nothing is measured.
        self._change(now, lower, settle_s=rtt_s * (1.0 - lower / self.value))

    def _knee(self, rtt_s: float) -> float:
        """Return how many the server works on, and a few that wait to be next.

        Without them it idles while an answer, and the request that follows it, are on
        their way.
        """
        working = self.cohort.crowd * self._low_s / rtt_s
        return working + max(_QUEUED, _QUEUED_SHARE * working)

    def _judge(self, now: float, *, rtt_s: float, doubt: _Doubt) -> None:
        """See whether stepping back made answers faster: only then they had queued."""
        self._doubt = None
        # What was measured in a growing crowd is too fast, so the fall looks smaller.
        fall = _FALL * (1.0 - self.value / doubt.value)
        if rtt_s > doubt.rtt_s * (1.0 - fall):
            # Slow, not queued, it seems: believe it by steps, for one noisy look
            # must not make a crowd the new measure of an empty server.
            self._low_s = min(rtt_s, self._low_s * _BELIEF)
            self.slow_start = doubt.slow_start
            self._before = None
            self._change(now, doubt.value)
            return
        self._low_s = min(self._low_s, self._surely_s())
        knee = self._knee(rtt_s)
        self._edge = min(doubt.value, max(knee, self.value * _STEEPEST, self._start))
        self._hold_rtts = 0.0
        self._curve_from = now - _RECOVERY_RTTS * rtt_s
        self._change(now, self._edge)

    def _curve(self, now: float) -> float:
        """Follow RFC 9438's cubic, in round trips, through the last edge."""
        past = (now - self._curve_from) / max(self.srtt_s, 1e-6) - _RECOVERY_RTTS
        if past > 0.0:
            past = max(0.0, past - self._hold_rtts)
        scale = self._edge * (1.0 - _BETA) / _RECOVERY_RTTS**3
        target = self._edge + scale * past**3
        return max(self.value, min(target, self.value * _PROBE))


@dataclass(slots=True)
class _Ramp:
    target: float
    step: float
    every_s: float
    next_at: float


@dataclass(frozen=True, slots=True)
class _Doubt:
    value: float
    rtt_s: float
    slow_start: bool
