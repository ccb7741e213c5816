"""What a failed HTTP call means to the one who runs the job."""

from __future__ import annotations

import os

from aip_httpclient import (
    BodyTooLarge,
    CallError,
    ConnectError,
    DeadlineExceeded,
    StatusFailed,
    StatusRefused,
)
from aip_pipeline._errors import (
    EmbedderDenied,
    EmbedderError,
    EmbedderRefused,
    EmbedderUnavailable,
)

# The texts may be at fault: too many, too long, or one of them poison.
ABOUT_TEXTS = frozenset({400, 413, 422})
_SERVER_FAULT = 500
# What servers say when one text makes them fall over; 502 to 504 are the proxy's.
CHOKED = 500
# Too busy for now, so alive: 529 is what some vendors say for 503.
_BUSY = frozenset({429, 529})
_AGAIN = "then run again: what is stored stays stored"
_ADVICE = {
    401: "check the key in AIP_API_KEY or OPENAI_API_KEY",
    402: f"check the account's billing, {_AGAIN}",
    403: "check the key in AIP_API_KEY or OPENAI_API_KEY, and what it may do",
    404: "check the model's name and the base URL (it usually ends in /v1)",
    405: "check the base URL (it usually ends in /v1)",
    # One that waiting does not cure: the client repeats all others.
    429: f"check the account's quota and billing, {_AGAIN}",
}


def translated(error: CallError) -> EmbedderError:
    """Return the embedder's error for *error*, in one sentence with what to do."""
    if isinstance(error, BodyTooLarge):
        reason = "the answer is larger than an answer may be"
        return EmbedderRefused(f"{error.url}: {reason}", status=413, reason=reason)
    status = error.status
    if isinstance(error, StatusRefused) and status is not None:
        if status in ABOUT_TEXTS:
            return refused(error)
        if status < _SERVER_FAULT:
            return denied(error)
    tried = f"({_attempts(error)}, {error.elapsed_s:.1f} s)"
    said = f": {error.reason}" if error.reason else ""
    if isinstance(error, ConnectError):
        return EmbedderUnavailable(
            f"cannot reach {error.url}: {why(error)} {tried}: is the server running, "
            "and the base URL right?"
        )
    return EmbedderUnavailable(
        f"no embeddings from {error.url}: {error.what}{said} {tried}: {_todo(error)}"
    )


def _todo(error: CallError) -> str:
    """Say what is stored, and when to try again."""
    if _asks_to_wait(error):
        return (
            "the server asks to wait longer; what was stored is kept: run the same "
            "command again later, or let aip ingest wait with a longer --deadline"
        )
    if found_nobody(error):
        return "what was stored is kept: is the server running, and the base URL right?"
    return "what was stored is kept: run the same command again when the server is well"


def found_nobody(error: CallError) -> bool:
    """Tell whether the last attempt met no server, as where a name is wrong."""
    return "cannot connect: " in error.what


def asked_to_wait(error: EmbedderError) -> bool:
    """Tell whether the server is alive and wants to be asked later."""
    cause = error.__cause__
    if not isinstance(error, EmbedderUnavailable):
        return False
    return isinstance(cause, CallError) and _asks_to_wait(cause)


def _asks_to_wait(error: CallError) -> bool:
    if not isinstance(error, DeadlineExceeded):
        return False
    return error.status in _BUSY or "Retry-After" in error.headers


def chokes(error: CallError) -> bool:
    """Tell whether the server fell over this very request, however often asked."""
    return isinstance(error, StatusFailed) and error.status == CHOKED


def refused(error: CallError) -> EmbedderRefused:
    """Blame the texts."""
    reason = error.reason or error.what
    message = f"{error.url} refused the texts: {_said(error)}"
    return EmbedderRefused(message, status=error.status or 0, reason=reason)


def denied(error: CallError) -> EmbedderDenied:
    """Blame the key, the model or the address."""
    status = error.status or 0
    advice = _ADVICE.get(status, "check the model's name, dimensions and base URL")
    message = f"{error.url} denied the request: {_said(error)}: {advice}"
    return EmbedderDenied(message, status=status)


def _said(error: CallError) -> str:
    """Put the status before the server's reason, which may be none."""
    return (
        f"{error.status} {error.reason.rstrip(' .:')}" if error.reason else error.what
    )


def why(error: ConnectError) -> str:
    """Say "connection refused", where asyncio says "Connect call failed"."""
    number = getattr(error.__cause__, "errno", None)
    if isinstance(number, int) and number > 0:  # name resolution has negative ones
        return os.strerror(number).lower()
    return error.what


def _attempts(error: CallError) -> str:
    return f"{error.attempts} attempt{'' if error.attempts == 1 else 's'}"
