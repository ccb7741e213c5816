"""Which failures may be repeated, and which of them cost an attempt."""

from __future__ import annotations

from ._wire import AttemptFailed

RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses worth repeating; any other from 300 on is final.

So is a 429 that says that the account may spend no more.
"""

NOT_EXECUTED = frozenset({429, 503, 529})
"""Statuses of requests that were turned away at the door: they cost no attempt."""

SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""Methods that are idempotent by definition (RFC 9110 9.2.2)."""

_FINAL = frozenset({"certificate", "too large", "loop"})
_NEVER_SENT = frozenset({"connect", "certificate"})
_SHED = frozenset({503, 529})
_BROKEN = frozenset({500, 502, 504})
# Answered before the work: a repeat cannot do it twice.
_BEFORE_WORK = NOT_EXECUTED | {408, 425}


def passing(failure: AttemptFailed) -> bool:
    """Tell whether the same request may succeed later; the server's word decides."""
    said = failure.headers.get("x-should-retry", "").strip().lower()
    if said in {"true", "false"}:
        return said == "true"
    if failure.cause == "status":
        return failure.status in RETRIED_STATUSES and not failure.unpaid
    return failure.cause not in _FINAL


def turned_away(failure: AttemptFailed) -> bool:
    """Tell whether the server refused to take the request in for now."""
    return failure.status in NOT_EXECUTED and passing(failure)


def untouched(failure: AttemptFailed) -> bool:
    """Tell whether the server has certainly not done the work."""
    return failure.cause in _NEVER_SENT or failure.status in _BEFORE_WORK


def overloaded(failure: AttemptFailed) -> bool:
    """Tell whether this is a sign of a server that has too much or is away."""
    return failure.status in _SHED or (failure.cause == "connect" and failure.refused)


def broken(failure: AttemptFailed) -> bool:
    """Tell whether a server of which everything ends so is down."""
    return failure.status in _BROKEN or failure.cause in {"transport", "timeout"}
