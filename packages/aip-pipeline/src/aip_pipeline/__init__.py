"""Read, clean, chunk, batch, embed, store: resumable, exactly once, bounded."""

from __future__ import annotations

__all__: list[str] = []
