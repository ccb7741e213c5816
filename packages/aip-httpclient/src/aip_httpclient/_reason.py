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
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    error = answer.get("error") if isinstance(answer, dict) else None
    said = [error]
    if isinstance(error, dict):
        said = [error.get(key) for key in ("code", "type", "status")]
    return any(str(each).lower() in _RATE_LIMITED for each in said)


def _message(answer: Any) -> str | None:
    for _ in range(3):
        if isinstance(answer, str):
            return answer
        if not isinstance(answer, dict):
            return None
        keys = ("error", "message", "detail", "msg", "error_description", "title")
        answer = next((answer[key] for key in keys if answer.get(key)), None)
    return answer if isinstance(answer, str) else None
