"""Which error a failed attempt becomes."""

from __future__ import annotations

from ._classify import passing
from ._errors import (
    AttemptTimeout,
    BodyTooLarge,
    CallError,
    ConnectError,
    StatusFailed,
    StatusRefused,
    TransportError,
)
from ._wire import AttemptFailed, Cause

_LEAVES: dict[Cause, type[CallError]] = {
    "timeout": AttemptTimeout,
    "transport": TransportError,
    "connect": ConnectError,
    "certificate": ConnectError,
    "too large": BodyTooLarge,
    "loop": TransportError,
}


def leaf_of(failure: AttemptFailed) -> type[CallError]:
    """Return the leaf of the error tree for the last failure of a call."""
    if failure.cause == "status":
        return StatusFailed if passing(failure) else StatusRefused
    return _LEAVES[failure.cause]
