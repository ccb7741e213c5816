"""The experiments behind every claim: broken, measured, fixed."""

from __future__ import annotations

__all__: list[str] = []
