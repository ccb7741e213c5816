"""`ingest`: the run as one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Unpack

from aip_pipeline._ingestion import Ingestion
from aip_pipeline._report import IngestReport
from aip_pipeline._settings import IngestOptions, IngestSettings
from aip_pipeline._sources import Given, as_sources
from aip_pipeline.embedders import Embedder
from aip_pipeline.mirrors import Mirror
from aip_pipeline.stores import open_store
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
        TypeError, ValueError: an argument is of a wrong type, or out of range.
        StoreError: the store failed; what it had stored is whole.
        EmbedderError: the embedder is gone, or refuses everything; run again to go on.
        MirrorError: all is stored, but the mirror is behind; run again to go on.
    """
    _refuse_unknown(settings)
    if "store" in settings:
        open_store(settings["store"])  # is not made before it is entered
    if not isinstance(embedder, str):
        _refuse_other(embedder, "embedder", ("spec", "embed"), of="Embedder")
    if mirror is not None and not isinstance(mirror, str):
        _refuse_other(mirror, "mirror", ("name", "upsert"), of="Mirror")
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


def _refuse_unknown(settings: Iterable[str]) -> None:
    """Refuse keywords that are no setting.

    Raises:
        TypeError: names one, and the setting that comes nearest.
    """
    known = IngestOptions.__annotations__
    for name in settings:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see `IngestSettings`"
            raise TypeError(f"ingest has no setting {name!r}: {hint}")


def _refuse_other(given: object, name: str, wanted: Sequence[str], *, of: str) -> None:
    """Refuse an object that is neither a spec nor has the methods.

    Raises:
        TypeError: says what it must be.
    """
    if not all(hasattr(given, method) for method in (*wanted, "__aenter__")):
        raise TypeError(
            f"{name} must be a spec, or an object with the methods of "
            f"aip_pipeline.{of}, not {type(given).__name__}"
        )


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
