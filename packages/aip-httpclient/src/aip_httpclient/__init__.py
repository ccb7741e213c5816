"""Many HTTP calls to one imperfect server: bounded, retried, none lost."""

from __future__ import annotations

from ._client import AsyncHttpClient
from ._errors import (
    Attempt,
    AttemptTimeout,
    BodyNotJson,
    BodyTooLarge,
    CallError,
    ClientClosed,
    ConnectError,
    DeadlineExceeded,
    Facts,
    HttpClientError,
    InvalidRequest,
    QueueTimeout,
    StatusError,
    StatusFailed,
    StatusRefused,
    TransportError,
)
from ._events import Event
from ._request import Done, Failed, Request
from ._response import Response
from ._settings import Hedge, Rate, Retry
from ._stats import Stats

__all__ = [
    "AsyncHttpClient",
    "Attempt",
    "AttemptTimeout",
    "BodyNotJson",
    "BodyTooLarge",
    "CallError",
    "ClientClosed",
    "ConnectError",
    "DeadlineExceeded",
    "Done",
    "Event",
    "Facts",
    "Failed",
    "Hedge",
    "HttpClientError",
    "InvalidRequest",
    "QueueTimeout",
    "Rate",
    "Request",
    "Response",
    "Retry",
    "Stats",
    "StatusError",
    "StatusFailed",
    "StatusRefused",
    "TransportError",
]
