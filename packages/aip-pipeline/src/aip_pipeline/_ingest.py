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
from aip_pipeline.mirrors import Mirror
from aip_readers import Chunk


async def ingest(
    sources: Given | Iterable[Given],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    mirror: str | Mirror | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Read, chunk, embed and store sources; what is stored already costs nothing.

    Args:
        sources: files, folders (recursive), globs, `-` for standard input (JSONL),
            URLs, or `RecordSource`s.
        embedder: a spec such as "local" or "openai:MODEL", or an open-able object.
        keep: says whether a chunk is wanted; others count as filtered.
        mirror: what is brought up to the store at the end: a spec such as
            "pinecone:https://HOST/NAMESPACE", or an open-able object.
        settings: any other field of `IngestSettings`.

    Raises:
        ConfigError: a source or setting cannot be right; nothing was done.
        StoreError: the store failed; what it had stored is whole.
        EmbedderError: the embedder is gone, or refuses everything; run again to go on.
        MirrorError: all is stored, but the mirror is behind; run again to go on.
    """
    spec = embedder if isinstance(embedder, str) else embedder.spec
    named = mirror if mirror is None or isinstance(mirror, str) else mirror.name
    run = Ingestion(
        as_sources(sources),
        settings=IngestSettings(embedder=spec, mirror=named, **settings),
        embedder=None if isinstance(embedder, str) else embedder,
        keep=keep,
        mirror=None if isinstance(mirror, str) else mirror,
    )
    return await run.run()


def ingest_sync(
    sources: Given | Iterable[Given],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    mirror: str | Mirror | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Run `ingest` where there is no event loop.

    Raises:
        RuntimeError: an event loop runs here, as in a notebook: await `ingest` instead.
    """
    if _loop_runs():
        raise RuntimeError(
            "ingest_sync was called where an event loop runs, as in a notebook or a "
            "coroutine: call `await ingest(...)` instead"
        )
    run = ingest(sources, embedder=embedder, keep=keep, mirror=mirror, **settings)
    return asyncio.run(run)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
