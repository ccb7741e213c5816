"""Embedders: `local` in this process, `openai:MODEL` over HTTP, or your own."""

from __future__ import annotations

from aip_pipeline.embedders._open import open_embedder
from aip_pipeline.embedders._protocol import BatchProfile, Embedder, Usage

__all__ = ["BatchProfile", "Embedder", "Usage", "open_embedder"]
