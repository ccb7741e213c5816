"""Crowd: how many at once a server takes that answers 429 to the rest."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Meaning: TypeAlias = Literal["rate", "either", "again", "crowd"]
"""What a 429 says: too many in a time; not yet known which; the same, but so soon that
it teaches no rate; too many at once."""

_HOLD_RTTS = 4.0
_LONGEST_HOLD_RTTS = 32.0
_NEAR = 0.1
_MOST_TRUST = 3
_LEAST_TRUST = -1
_DISTRUST_RTTS = 16.0
_LONGEST_DISTRUST_RTTS = 1024.0


class Crowd:
    """Tell 429s for too many at once from those for too many in a time.

    At first a 429 may mean either. What is still under way when a burst of them is
    over is what fits in, if they mean the crowd; no more are let out at once, and the
    next 429 tells. Sent beyond what fits in it means the crowd; sent well below, or
    with nothing else under way, the time: then there is no ceiling, for a while that
    doubles whenever it was so. Beyond what fits in is tried every 4 to 32 round trips,
    first by one request, then by twice as many each time that all are taken in.

    Attributes:
        most: how many may be under way at once; infinite while nothing is known.
        full: whether a call had to wait for that since it was last changed.
    """

    __slots__ = (
        "_burst_at",
        "_changed_at",
        "_distrust_rtts",
        "_distrust_until",
        "_edge",
        "_fits",
        "_full_from",
        "_hold_rtts",
        "_least",
        "_meaning",
        "_step",
        "_trust",
        "full",
        "most",
    )

    def __init__(self) -> None:
        self.most = math.inf
        self.full = False
        self._fits = math.inf
        self._edge = math.inf
        self._step = 1.0
        self._hold_rtts = _HOLD_RTTS
        self._meaning: Meaning = "rate"
        self._trust = 0
        self._least = 1.0
        self._burst_at = self._changed_at = self._distrust_until = -math.inf
        self._full_from = math.inf
        self._distrust_rtts = _DISTRUST_RTTS

    def on_success(
        self, now: float, *, started: float, srtt_s: float, limit: float
    ) -> None:
        """Learn from a good answer; try one more at once when it is time."""
        if not self.full or started <= self._changed_at:
            return
        if self._fits < self.most:
            self._fits, self._hold_rtts = self.most, _HOLD_RTTS
        self._full_from = min(self._full_from, now)
        if now - self._full_from < self._hold_rtts * srtt_s:
            return
        most = self.most + self._step
        self._step *= 2.0
        self._change(now, most if most < limit else math.inf)

    def on_429(
        self, now: float, *, started: float, others: int, srtt_s: float
    ) -> Meaning:
        """Say what a 429 means; *others* are the requests still under way.

        *now* and *started*, when its request was sent, are loop times in seconds.
        """
        if started > self._burst_at:
            self._burst_at = now
            self._meaning = self._judge(now, others=others)
        if self._meaning == "rate":
            return "rate"
        if others < self._least:
            self._meaning = "rate"
            self._distrust(now, srtt_s=srtt_s)
        else:
            # What is left when the last of a burst has come is what fits in.
            self._fits = float(others)
            self._change(now, self._fits)
        return self._meaning

    def _judge(self, now: float, *, others: int) -> Meaning:
        """Compare a burst's first with what was known before."""
        if now < self._distrust_until:
            return "rate"
        if self.most == math.inf:
            self._trust, self._least, self._edge = 0, 1.0, math.inf
            self._step, self._hold_rtts = 1.0, _HOLD_RTTS
            return "either"
        fits, self._step = self._fits, 1.0
        self._least = max(1.0, fits - max(1.0, _NEAR * fits))
        if others < fits:
            # Just below: what was sure before may be so by the way's own time.
            self._trust -= 1
            self._least = math.inf if self._trust < _LEAST_TRUST else self._least
            if self._trust >= 0:
                return "crowd"
            # Before any answer: what was counted as fitting in was one too many.
            return "again" if self._full_from == math.inf else "either"
        longer = min(_LONGEST_HOLD_RTTS, 2.0 * self._hold_rtts)
        self._hold_rtts = longer if fits == self._edge else _HOLD_RTTS
        self._edge, self._trust = fits, min(_MOST_TRUST, self._trust + 1)
        self._distrust_rtts = max(_DISTRUST_RTTS, self._distrust_rtts / 2.0)
        return "crowd"

    def _distrust(self, now: float, *, srtt_s: float) -> None:
        """Take 429s for the rate's, for a time that doubles whenever it was true."""
        self._distrust_until = now + self._distrust_rtts * srtt_s
        self._distrust_rtts = min(_LONGEST_DISTRUST_RTTS, 2.0 * self._distrust_rtts)
        self._fits = math.inf
        self._change(now, math.inf)

    def _change(self, now: float, most: float) -> None:
        self.most = most
        self.full = False
        self._changed_at = now
        self._full_from = math.inf
