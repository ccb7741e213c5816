"""What the calls sent under one limit say about the server, the slow ones included."""

from __future__ import annotations

import math

_QUICKER = 0.6
_LEAST = 12.0
_FEWEST = 6
_PATIENCE = 8.0


class Cohort:
    """Measure the round trip of the calls sent since the limit was last changed.

    The first answers to come back are the quick ones; a mean of them makes every
    server look faster than it is, the more so the fewer they are. So the calls sent
    in a row are one cohort, and the measure is the mean of its quicker three
    fifths: complete as soon as every call still under way has taken longer.

    Attributes:
        mean_s: the measure, once `add` has said that it is there.
        error_s: its standard error.
    """

    __slots__ = (
        "_counted",
        "_crowds",
        "_due",
        "_needed",
        "_quick",
        "_rtts_s",
        "_sent",
        "_since",
        "_until",
        "error_s",
        "mean_s",
    )

    def __init__(self) -> None:
        self.restart(-math.inf, size=0.0)
        self.mean_s = self.error_s = 0.0

    def restart(self, since: float, *, size: float, quick: bool = False) -> None:
        """Begin anew with what is sent after *since*: at least *size* calls.

        *quick* is content with the first *size* answers, for a crowd that was sent
        all at once.
        """
        self._quick = quick
        self._since = since
        self._until = math.inf
        self._due = -math.inf
        self._needed = max(_LEAST, size)
        self._rtts_s: list[float] = []
        self._sent = self._crowds = self._counted = 0

    def send(self, now: float, *, crowd: int) -> None:
        """Count a call that goes now, as one of *crowd* on the wire."""
        if self._since <= now <= self._until:
            if self._sent < self._needed:
                self._crowds += crowd
                self._counted += 1
            self._sent += 1

    @property
    def crowd(self) -> float:
        """How many were on the wire when the cohort was sent, on the average."""
        return self._crowds / self._counted if self._counted else 0.0

    def add(self, now: float, *, rtt_s: float, started: float) -> bool:
        """Count an answer; tell whether there is a measure now."""
        if self._quick:
            return self._first(rtt_s, started=started)
        if self._until == math.inf and self._sent >= self._needed:
            self._until = now
        if self._until < math.inf and (
            self._sent < _FEWEST or now > self._until + _PATIENCE * rtt_s
        ):
            self.restart(now, size=self._needed)  # most of it was lost
        if started < self._since:
            return False
        if started <= self._until:
            self._rtts_s.append(rtt_s)
        quicker = math.ceil(_QUICKER * self._sent)
        if now < self._due or self._until == math.inf or len(self._rtts_s) < quicker:
            return False
        return self._measure(now, quicker=quicker)

    def lose(self, *, started: float) -> None:
        """Leave a call out that ended without an answer to go by."""
        if self._since <= started <= self._until:
            self._sent -= 1

    def _first(self, rtt_s: float, *, started: float) -> bool:
        if started >= self._since:
            self._rtts_s.append(rtt_s)
        count = len(self._rtts_s)
        if count < self._needed:
            return False
        self.mean_s = sum(self._rtts_s) / count
        squares = sum((each - self.mean_s) ** 2 for each in self._rtts_s)
        self.error_s = math.sqrt(squares) / count
        return True

    def _measure(self, now: float, *, quicker: int) -> bool:
        """Take the mean of the quicker ones, if no call under way can be among them."""
        self._rtts_s.sort()
        slowest_s = self._rtts_s[quicker - 1]
        if now < self._until + slowest_s:
            self._due = self._until + slowest_s
            return False
        taken = self._rtts_s[:quicker]
        self.mean_s = sum(taken) / quicker
        # The slower ones counts as the slowest that was taken (Tukey's winsorized
        # variance): leaving it out would make the mean look surer than it is.
        squares = sum((each - self.mean_s) ** 2 for each in taken)
        squares += (self._sent - quicker) * (slowest_s - self.mean_s) ** 2
        self.error_s = math.sqrt(squares / self._sent) / (
            _QUICKER * math.sqrt(self._sent)
        )
        return True
