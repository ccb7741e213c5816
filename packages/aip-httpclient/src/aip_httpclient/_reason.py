"""The server's own words, shortened."""

from __future__ import annotations

import json
from typing import Any

EXCERPT_BYTES = 2048
"""How much of a failing answer's body an error keeps."""

READ_BYTES = 65536
"""How much of a failing answer's body is read before its connection is closed."""

_REASON_CHARS = 300
PEEK_BYTES = 32
"""Where a JSON answer that is an error says so."""

_RATE_LIMITED = frozenset(
    {
        "429",
        "rate_limit",
        "rate_limited",
        "rate_limit_error",
        "rate_limit_exceeded",
        "resource_exhausted",
        "too_many_requests",
    }
)

# No wait cures these: somebody has to pay, or to raise a limit of spending.
_UNPAID = frozenset(
    {
        "billing_hard_limit_reached",  # OpenAI, and those like it
        "billing_not_active",
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        "exceeded_current_quota_error",  # Moonshot
        "budget_exceeded",  # LiteLLM
        "terminal_quota_exhausted",
    }
)


def reason_in(body: bytes) -> str:
    """Find the message in a failing answer: JSON as servers write it, else text.

    >>> reason_in(b'{"error": {"message": "no such model"}}')
    'no such model'
    """
    try:
        text = _message(json.loads(body))
    except (ValueError, RecursionError):
        text = None
    if text is None:
        text = body[:EXCERPT_BYTES].decode("utf-8", "replace")
        # A proxy's page of HTML says less than the status does.
        text = "" if text.lstrip()[:1] == "<" else text
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 3] + "..."


def disguised(body: bytes) -> bool:
    """Tell whether a good status comes with a body that says "rate-limited".

    >>> disguised(b'{"error": {"code": "rate_limit_exceeded"}}')
    True
    """
    return not _codes(body).isdisjoint(_RATE_LIMITED | _UNPAID)


def unpaid(body: bytes) -> bool:
    """Tell whether a 429 says that the account may spend no more.

    >>> unpaid(b'{"error": {"code": "insufficient_quota"}}')
    True
    """
    return not _codes(body).isdisjoint(_UNPAID)


def _codes(body: bytes) -> set[str]:
    """Return what a JSON answer calls its error, in small letters."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    error = answer.get("error") if isinstance(answer, dict) else None
    said = [error]
    if isinstance(error, dict):
        said = [error.get(key) for key in ("code", "type", "status")]
    return {str(each).lower() for each in said}


def _message(answer: Any) -> str | None:
    for _ in range(3):
        if isinstance(answer, str):
            return answer
        if not isinstance(answer, dict):
            return None
        keys = ("error", "message", "detail", "msg", "error_description", "title")
        answer = next((answer[key] for key in keys if answer.get(key)), None)
    return answer if isinstance(answer, str) else None
