"""What the client does, told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "sent",
    "hedged",
    "answered",
    "turned away",
    "failed attempt",
    "gave up",
    "outage",
    "recovered",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Args:
        kind: ``sent`` before each attempt, ``hedged`` before a second send of it;
            ``answered`` after a good one;
            ``turned away`` (429, 503, 529) and ``failed attempt`` after a bad one;
            ``gave up`` with the call's error; ``outage`` and ``recovered`` once each.
        at_s: the event loop's time.
        method: the HTTP method, empty for ``outage`` and ``recovered``.
        url: the address without credentials, query or fragment.
        attempt: which attempt of its call, from 1.
        status: the HTTP status, where there was one.
        took_s: seconds on the wire, where an attempt ended.
        limit: how many requests may be on the wire now.
        error: what went wrong, in a few words.
    """

    kind: Kind
    at_s: float
    method: str = ""
    url: str = ""
    attempt: int = 0
    status: int | None = None
    took_s: float = 0.0
    limit: float = 0.0
    error: str = ""


OnEvent: TypeAlias = Callable[[Event], None]
"""Called on the event loop: it must return at once and raise nothing."""
