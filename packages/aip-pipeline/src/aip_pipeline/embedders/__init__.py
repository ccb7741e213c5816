"""Embedders: what the pipeline asks of them."""

from __future__ import annotations

from aip_pipeline.embedders._protocol import BatchProfile, Embedder, Usage

__all__ = ["BatchProfile", "Embedder", "Usage"]
