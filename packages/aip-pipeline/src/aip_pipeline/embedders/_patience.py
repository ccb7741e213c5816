"""How long one attempt may take, from how long the others took."""

from __future__ import annotations

LONGEST_S = 60.0
SHORTEST_S = 5.0
TIMES_SLOWEST = 20.0


class Patience:
    """Wait for twenty times the slowest answer so far, between 5 s and 60 s.

    A request that hangs holds up the storing of all that was read after it, so a fast
    server is not waited for as long as a slow one. Before the first answer nothing is
    known, and an attempt may take 60 s.

    >>> patience = Patience()
    >>> patience.seconds
    60.0
    >>> patience.learn(0.05)
    >>> patience.seconds
    5.0
    >>> patience.extend(), patience.seconds
    (True, 10.0)
    """

    def __init__(self) -> None:
        self._slowest_s = 0.0
        self._least_s = SHORTEST_S

    @property
    def seconds(self) -> float:
        """The timeout of an attempt that is sent now."""
        if not self._slowest_s:
            return LONGEST_S
        learned = max(self._least_s, TIMES_SLOWEST * self._slowest_s)
        return min(LONGEST_S, learned)

    @property
    def can_extend(self) -> bool:
        """Whether an attempt could be given more time."""
        return self.seconds < LONGEST_S

    def learn(self, took_s: float) -> None:
        """Note how long an answer took."""
        self._slowest_s = max(self._slowest_s, took_s)

    def extend(self) -> bool:
        """Double the patience after a call timed out; False where it is at its end."""
        if not self.can_extend:
            return False
        self._least_s = 2 * self.seconds
        return True
