"""Many HTTP calls to one imperfect server: bounded, retried, none lost."""

from __future__ import annotations

__all__: list[str] = []
