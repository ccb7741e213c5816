"""Outage: when nobody may send, and who asks whether it is over."""

from __future__ import annotations

import math
from random import Random

_FIRST_PROBE_S = 0.1
_LAST_PROBE_S = 0.5
_LONG_PROBE_S = 0.8
_LONG = 24
_DOUBLINGS = 8
_JITTER = 0.25
_PATIENCE_S = 0.8
_MOST_UNANSWERED = 16
_EVIDENCE = 3
_PENDING_SHARE = 0.25
_BREATH = 0.2
_IN_A_ROW = 8


class Gate:
    """Shut for everybody at once: for a Retry-After, or while nothing gets through.

    An outage is declared when of the requests sent since the first refusal none got
    through for a round trip, and hardly any is still under way; or when eight in a row
    failed, however they did, and nothing else came for a round trip. Then probes are
    sent, 0.1 s to 1 s apart; the first that gets through opens the gate. One that is
    not answered at all does not hold up the next, until sixteen are not.

    Args:
        jitter: spreads the probes by a quarter either way.

    Attributes:
        shut: whether sending is forbidden; a probe may still be due.
        until: loop time when the gate opens or the next probe is due.
        down: failed probes of the present outage; 0 when there is none.
        good_at: loop time of the last good answer, noted by whoever sees it.
        in_a_row: failures since then.
        failing_since: loop time of the first failure since all was well, or None.
        outages: how many there have been.
        sent: requests let out, counted up by admission.
        remembered: the limit from before the failures began.
    """

    __slots__ = (
        "_breath_s",
        "_failed",
        "_failed_at",
        "_jitter",
        "_probe_at",
        "_probes_from",
        "_probing",
        "_row_from",
        "_sent_before",
        "_tentative",
        "_unanswered",
        "down",
        "failing_since",
        "good_at",
        "in_a_row",
        "outages",
        "remembered",
        "sent",
        "shut",
        "until",
    )

    def __init__(self, jitter: Random) -> None:
        self.shut = False
        self.until = -math.inf
        self.down = 0
        self.outages = 0
        self.remembered = 0.0
        self.good_at = -math.inf
        self.in_a_row = 0
        self._row_from = -math.inf
        self._jitter = jitter
        self._probing = False
        self._probe_at = 0.0
        self.failing_since: float | None = None
        self.sent = 0
        self._failed = 0
        self._unanswered = 0
        self._probes_from = math.inf
        self._failed_at = -math.inf
        self._tentative = False
        self._breath_s = 0.0
        self._sent_before = 0

    @property
    def probes(self) -> int:
        """How many probes of the present outage are under way."""
        return self._unanswered if self.down else 0

    def pause(self, until: float, *, breath_s: float) -> None:
        """Let nobody out before *until*, then one, and all a breath later.

        A longer pause stays.
        """
        self.until = max(self.until, until)
        self._breath_s = breath_s * _BREATH
        self._sent_before = self.sent
        if not self.down:
            self.shut = self._tentative = True

    def ready(self, now: float) -> bool:
        """Tell whether one may go; opens where a pause is over."""
        if now < self.until:
            return False
        if not self.down and (not self._tentative or self.sent > self._sent_before):
            self.shut = self._tentative = False
        return True

    def on_probe(self, now: float) -> None:
        """Note that one goes out while the gate is shut."""
        if self.down:
            self._probing = True
            self._probe_at = now
            self._unanswered += 1
            # Its answer sets the next time; a server that hangs gives none.
            hanging = self._unanswered >= _MOST_UNANSWERED
            self.until = math.inf if hanging else now + _PATIENCE_S * self._spread()
        else:
            self._sent_before = self.sent
            self.until = now + self._breath_s

    def on_success(self, *, started: float) -> bool:
        """Forget the failures; tell whether this ended an outage."""
        since = self.failing_since
        if since is None or started < since:
            return False
        self.failing_since = None
        self._probing = False
        if self._tentative:
            self._tentative = self.shut = False
        was_down = self.down > 0
        if was_down:
            self.down = 0
            self.shut = False
            self.until = -math.inf
        return was_down

    def on_failure(
        self, now: float, *, started: float, srtt_s: float, limit: float
    ) -> bool:
        """Weigh a request turned away; tell whether an outage has just begun."""
        hopeless = self._row(now, started=started, srtt_s=srtt_s)
        since = self.failing_since
        # A late answer of before may end the count, but not the cascade.
        cascade = now - self._failed_at <= srtt_s
        self._failed_at = now
        if since is None:
            self.failing_since = now
            self.sent = self._failed = 0
            self.remembered = max(limit, self.remembered) if cascade else limit
            return False
        if started < since:
            return False
        self._failed += 1
        if self.down:
            self.end_probe(now, started=started)
            return False
        pending = self.sent - self._failed
        enough = self._failed >= _EVIDENCE and now - since >= srtt_s
        if hopeless or (enough and pending <= self._failed * _PENDING_SHARE):
            self._begin(now)
            return True
        # Fail slowly: one at a time, until one is taken in or an outage is plain.
        self.pause(now + srtt_s * _BREATH, breath_s=srtt_s)
        return False

    def on_trouble(
        self, now: float, *, started: float, srtt_s: float, limit: float
    ) -> bool:
        """Weigh a failure that may be a call's own; tell whether an outage begins."""
        if self.down:
            self.end_probe(now, started=started)
            return False
        if not self._row(now, started=started, srtt_s=srtt_s):
            if self.in_a_row >= _IN_A_ROW:
                # Fail slowly, or a server that fails at once is sent the whole queue.
                self.pause(now + srtt_s * _BREATH, breath_s=srtt_s)
            return False
        if self.failing_since is None:
            self.failing_since = now
            self.remembered = limit
        self._begin(now)
        return True

    def _row(self, now: float, *, started: float, srtt_s: float) -> bool:
        """Count a failure; tell whether it is one of many with nothing between."""
        self.in_a_row += 1
        if self.in_a_row == 1:
            self._row_from = started
        quiet_s = now - max(self.good_at, self._row_from)
        return self.in_a_row >= _IN_A_ROW and quiet_s >= srtt_s

    def _begin(self, now: float) -> None:
        self.outages += 1
        self.shut = True
        self._probes_from, self._unanswered = now, 0
        self._tentative = False
        self._next_probe(now)

    def end_probe(self, now: float, *, started: float) -> None:
        """Set the next probe's time, if it was the probe that came to nothing."""
        if self._note_end(started):
            self._next_probe(now)

    def abandon_probe(self, now: float, *, started: float) -> None:
        """Let another go soon: the probe's caller left before there was an answer."""
        if self._note_end(started):
            self._probing = False
            self.until = now + _FIRST_PROBE_S

    def _note_end(self, started: float) -> bool:
        """Count a request that ended; tell whether the next probe waits for its end."""
        if not self.down or started < self._probes_from:
            return False
        self._unanswered = max(0, self._unanswered - 1)
        return self._probing and (started >= self._probe_at or self.until == math.inf)

    def _next_probe(self, now: float) -> None:
        last_s = _LAST_PROBE_S if self.down < _LONG else _LONG_PROBE_S
        wait_s = min(last_s, _FIRST_PROBE_S * 2.0 ** min(self.down, _DOUBLINGS))
        self.until = now + wait_s * self._spread()
        self.down += 1
        self._probing = False

    def _spread(self) -> float:
        return 1.0 + _JITTER * (2.0 * self._jitter.random() - 1.0)
