"""Every error of this package; each leaf says what was tried, how often, and where.

::

    HttpClientError
    ├── ClientClosed          used outside its ``async with``
    ├── InvalidRequest        a request that cannot be sent as it stands
    ├── BodyNotJson           ``.json()`` of a body that is not JSON (a ValueError)
    └── CallError             one call came to nothing; carries the facts below
        ├── StatusError       the server answered, and said no
        │   ├── StatusRefused a final answer (4xx, 501, ...): never sent again
        │   └── StatusFailed  an answer worth repeating, and the repeats ran out
        ├── TransportError    no whole answer: reset, cut short, not HTTP
        │   └── ConnectError  no connection: refused, unreachable, no such name, TLS
        ├── AttemptTimeout    the last attempt outlived ``attempt_timeout_s``
        ├── DeadlineExceeded  ``deadline_s`` passed since the call was first sent
        ├── QueueTimeout      ``queue_timeout_s`` passed before the first send
        └── BodyTooLarge      the body outgrew ``max_body_bytes``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class HttpClientError(Exception):
    """Base of all errors of this package."""


class ClientClosed(HttpClientError):
    """Report a client used before ``async with`` or after it."""


class InvalidRequest(HttpClientError):
    """Report a request that cannot be sent: a bad path, header or body."""


class BodyNotJson(HttpClientError, ValueError):
    """Report a response body that is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Record one attempt of one call.

    Args:
        status: the HTTP status, or None where no answer came.
        error: the failure in a few words, or None where the answer was good.
        started_s: seconds from the call's first send to this attempt's.
        took_s: seconds on the wire.
    """

    status: int | None
    error: str | None
    started_s: float
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Hold what a failed call knows; the attributes of `CallError`."""

    method: str
    url: str
    attempts: int
    elapsed_s: float = 0.0
    status: int | None = None
    reason: str = ""
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    history: tuple[Attempt, ...] = ()


class CallError(HttpClientError):
    """Report a call that came to nothing.

    Args:
        what: what happened, in a few words, with what to do where that is known.
        facts: what was tried.

    Attributes:
        method: the HTTP method.
        url: the address, without credentials, query or fragment.
        attempts: how often the request was sent.
        elapsed_s: seconds from the first send to giving up.
        status: the last HTTP status seen, or None.
        reason: the server's own words for it, shortened, without our secrets.
        body: the first bytes of the server's answer, without our secrets.
        headers: the headers of the last answer, or an empty mapping.
        history: one `Attempt` per attempt, the last 32 of them.
    """

    def __init__(self, what: str, *, facts: Facts) -> None:
        super().__init__(what, facts)
        self.what = what
        self.facts = facts
        self.method = facts.method
        self.url = facts.url
        self.attempts = facts.attempts
        self.elapsed_s = facts.elapsed_s
        self.status = facts.status
        self.reason = facts.reason
        self.body = facts.body
        self.headers: Mapping[str, str] = facts.headers or {}
        self.history = facts.history

    def __str__(self) -> str:
        """Say it in one sentence."""
        tried = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        said = f": {self.reason}" if self.reason else ""
        where = f"{self.method} {self.url}"
        return f"{where}: {self.what}{said} ({tried}, {self.elapsed_s:.1f} s)"

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from both arguments: pickle would drop the keyword."""
        return _rebuild, (type(self), self.what, self.facts)


def _rebuild(leaf: type[CallError], what: str, facts: Facts) -> CallError:
    return leaf(what, facts=facts)


class StatusError(CallError):
    """Report an answer with a failing status."""


class StatusRefused(StatusError):
    """Report a final answer: sending the same request again cannot help."""


class StatusFailed(StatusError):
    """Report a passing trouble that did not pass, or was not safe to repeat."""


class TransportError(CallError):
    """Report an exchange that broke before a whole answer had come."""


class ConnectError(TransportError):
    """Report that no connection could be made; the request was never sent."""


class AttemptTimeout(CallError):
    """Report that the last attempt took longer than ``attempt_timeout_s``."""


class DeadlineExceeded(CallError):
    """Report that the call took longer than ``deadline_s`` from its first send."""


class QueueTimeout(CallError):
    """Report that a call waited ``queue_timeout_s`` in our own queue, never sent."""


class BodyTooLarge(CallError):
    """Report a body that outgrew ``max_body_bytes``, after decompression."""
