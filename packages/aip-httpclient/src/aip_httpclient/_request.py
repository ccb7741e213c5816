"""What goes into `AsyncHttpClient.map`, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._response import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Describe one call; the arguments are those of `AsyncHttpClient.request`.

    Args:
        path: joined to the client's ``base_url``, or a whole address.
        method: the HTTP method.
        json: a JSON body; not together with ``data``.
        data: a body as bytes.
        headers: sent beside the client's own.
        cost: tokens charged to the rate.
        idempotency_key: sent with every attempt; makes a POST safe to repeat.
        idempotent: the caller's word that a repeat does no harm.
        deadline_s: for this call instead of the client's.
        attempt_timeout_s: for this call instead of the client's.
        tag: anything of the caller's, untouched.
    """

    path: str
    method: str = "POST"
    json: Any = None
    data: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    cost: float = 0.0
    idempotency_key: str | None = None
    idempotent: bool = False
    deadline_s: float | None = None
    attempt_timeout_s: float | None = None
    tag: Any = None


@dataclass(frozen=True, slots=True)
class Done:
    """A request of `AsyncHttpClient.map` and its good answer."""

    request: Request
    response: Response


@dataclass(frozen=True, slots=True)
class Failed:
    """A request of `AsyncHttpClient.map` and why it came to nothing."""

    request: Request
    error: Exception
