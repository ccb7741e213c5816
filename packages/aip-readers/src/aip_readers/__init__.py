"""Bytes to clean text chunks: lazily, in constant memory, with exact byte spans."""

from __future__ import annotations

__all__: list[str] = []
