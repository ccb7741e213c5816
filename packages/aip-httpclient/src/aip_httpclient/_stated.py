"""Limits that a server states in the headers of its answers."""

from __future__ import annotations

from collections.abc import Mapping

from ._retry_after import duration_s

MINUTE_S = 60.0
"""The window of the limits that OpenAI and those like it state."""

_LONGER_S = 90.0
_MOST_DIGITS = 15  # more is no limit, and may be no number that can be computed with


def stated_limit(headers: Mapping[str, str], kind: str) -> float | None:
    """Read ``x-ratelimit-limit-KIND`` as a limit per minute, or None.

    Some servers state a day's quota under the same name. To spread that over the day
    would only slow a job down, so it is no rate; ``x-ratelimit-reset-KIND`` shows it,
    where what was used takes longer than a minute to come back.

    >>> stated_limit({"x-ratelimit-limit-tokens": "150000"}, "tokens")
    150000.0
    >>> quota = {"x-ratelimit-limit-requests": "1000"}
    >>> stated_limit(quota | {"x-ratelimit-reset-requests": "12h0m0s"}, "requests")
    """
    text = headers.get(f"x-ratelimit-limit-{kind}", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    if not int(text):
        return None
    reset_s = duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
    return None if reset_s is not None and reset_s > _LONGER_S else float(text)


def used_up(headers: Mapping[str, str]) -> bool:
    """Tell whether the server states that nothing is left of a limit per window.

    >>> used_up({"x-ratelimit-remaining-tokens": "0"})
    True
    """
    kinds = ("requests", "tokens")
    left = [headers.get(f"x-ratelimit-remaining-{kind}", "") for kind in kinds]
    return any(each.strip() == "0" for each in left)
