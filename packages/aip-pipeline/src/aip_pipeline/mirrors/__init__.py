"""Mirrors: other databases that are fed from the record, `pinecone:` or your own."""

from __future__ import annotations

from aip_pipeline.mirrors._open import open_mirror
from aip_pipeline.mirrors._protocol import Mirror, MirrorRow

__all__ = ["Mirror", "MirrorRow", "open_mirror"]
