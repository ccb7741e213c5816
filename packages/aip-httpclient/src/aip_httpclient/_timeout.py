"""An attempt timeout that follows the server's answers, for those who ask for it."""

from __future__ import annotations

from ._recent import Recent

_TIMES = 3.0
_QUANTILE = 0.98
_LEAST_S = 0.5
_SETTLE_RTTS = 2.0


class AdaptiveTimeout:
    """Cut attempts at three times the 98th percentile of recent answers.

    Never above the ceiling, never below 0.5 s, and the ceiling itself within two
    round trips of a change of the limit: more concurrency means slower answers, and a
    timeout learned before would cut exactly those.

    Args:
        ceiling_s: the declared ``attempt_timeout_s``.
    """

    def __init__(self, *, ceiling_s: float) -> None:
        self._ceiling_s = ceiling_s
        self._recent = Recent(quantile=_QUANTILE)

    def on_success(self, rtt_s: float) -> None:
        """Note one answer."""
        self._recent.add(rtt_s)

    def seconds(self, now: float, *, changed_at: float, srtt_s: float) -> float:
        """Return the timeout for an attempt sent now."""
        typical_s = self._recent.value_s
        if typical_s is None or now - changed_at < _SETTLE_RTTS * srtt_s:
            return self._ceiling_s
        return min(self._ceiling_s, max(_LEAST_S, _TIMES * typical_s))
