"""When the server says to come back."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def retry_after_s(headers: Mapping[str, str], *, cap_s: float = 120.0) -> float | None:
    """Read the wait the server asks for, in seconds, between 0 and *cap_s*.

    ``retry-after-ms`` goes before ``Retry-After`` (seconds or an HTTP date,
    RFC 9110 10.2.3), which goes before ``x-ratelimit-reset-*`` (the longest of
    those whose ``x-ratelimit-remaining-*`` is 0). None where nothing is said, or
    nothing that can be read.

    >>> retry_after_s({"retry-after-ms": "1500"})
    1.5
    >>> retry_after_s({"retry-after": "7"})
    7.0
    """
    wait_s = _milliseconds(headers.get("retry-after-ms"))
    if wait_s is None:
        wait_s = _seconds_or_date(headers.get("retry-after"))
    if wait_s is None:
        wait_s = _resets(headers)
    return None if wait_s is None else min(max(0.0, wait_s), cap_s)


def duration_s(text: str) -> float | None:
    """Read ``6m0s``, ``20ms``, ``1.5`` as seconds; None where it is none of these.

    >>> duration_s("1m30s")
    90.0
    """
    text = text.strip().lower()
    number = _number(text)
    if number is not None:
        return number
    parts = _PART.findall(text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        return None
    return sum(float(n) * _UNITS_S[unit] for n, unit in parts)


def _number(text: str) -> float | None:
    # float() alone would take "nan", "inf" and "1_000".
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text) else None


def _milliseconds(text: str | None) -> float | None:
    number = None if text is None else _number(text.strip())
    return None if number is None else number / 1000.0


def _seconds_or_date(text: str | None) -> float | None:
    if text is None:
        return None
    number = _number(text.strip())
    if number is not None:
        return number
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _resets(headers: Mapping[str, str]) -> float | None:
    waits = []
    for name in ("requests", "tokens"):
        if headers.get(f"x-ratelimit-remaining-{name}", "0").strip() == "0":
            wait_s = duration_s(headers.get(f"x-ratelimit-reset-{name}", ""))
            waits += [] if wait_s is None else [wait_s]
    return max(waits, default=None)
