"""`ingest`: the run as one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Unpack

from aip_pipeline._ingestion import Ingestion
from aip_pipeline._report import IngestReport
from aip_pipeline._settings import IngestOptions, IngestSettings
from aip_pipeline._sources import Given, as_sources
from aip_pipeline.embedders import Embedder
from aip_readers import Chunk


async def ingest(
    sources: Given | Iterable[Given],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Read, chunk, embed and store sources; what is stored already costs nothing.

    Args:
        sources: files, folders (recursive), globs, `-` for standard input (JSONL),
            URLs, or `RecordSource`s.
        embedder: a spec such as "local" or "openai:MODEL", or an open-able object.
        keep: says whether a chunk is wanted; others count as filtered.
        settings: any other field of `IngestSettings`.

    Raises:
        ConfigError: a source or setting cannot be right; nothing was done.
        StoreError: the store failed; what it had stored is whole.
        EmbedderError: the embedder is gone, or refuses everything; run again to go on.
    """
    spec = embedder if isinstance(embedder, str) else embedder.spec
    run = Ingestion(
        as_sources(sources),
        settings=IngestSettings(embedder=spec, **settings),
        embedder=None if isinstance(embedder, str) else embedder,
        keep=keep,
    )
    return await run.run()


def ingest_sync(
    sources: Given | Iterable[Given],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Run `ingest` where there is no event loop."""
    return asyncio.run(ingest(sources, embedder=embedder, keep=keep, **settings))
