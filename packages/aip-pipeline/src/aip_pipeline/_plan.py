"""What an ingestion would do and cost, found without sending anything."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aip_pipeline._pruning import look_for_vanished
from aip_pipeline._reading import Page, PageReader
from aip_pipeline._settings import IngestSettings
from aip_pipeline._sources import Source, check_sources, paths_of
from aip_pipeline.embedders import BatchProfile, open_embedder
from aip_pipeline.stores import SqliteStore, Store, Write, open_store


@dataclass(slots=True, kw_only=True)
class Plan:
    """Count what a run would find; sources and chunks unless named otherwise.

    `tokens` is an estimate from the length of the texts, and so are `cost` (None where
    no price is known) and `seconds` (None where no limit is declared).
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    unreadable: int = 0
    chunks: int = 0
    to_embed: int = 0
    to_embed_bytes: int = 0
    tokens: int = 0
    requests: int = 0
    seconds: float | None = None
    cost: float | None = None

    def as_dict(self) -> dict[str, int | float | None]:
        """Return the JSON object that `aip plan --json` prints."""
        return asdict(self)


def plan(sources: Sequence[Source], *, settings: IngestSettings) -> Plan:
    """Read the sources as `ingest` would, and send nothing.

    Memory is bounded as in a run: the texts seen are kept by their hashes, in a
    temporary file.

    Raises:
        ConfigError: a source or setting cannot be right.
        SpaceMismatch: the store holds another embedder's vectors.
    """
    check_sources(sources)
    embedder = open_embedder(
        settings.embedder,
        base_url=settings.base_url,
        dimensions=settings.dimensions,
        api_key="unused",  # nothing is sent
    )
    found = Plan()
    with _stores(settings, spec=embedder.spec) as (store, scratch):
        reader = PageReader(
            settings,
            store=store,
            spec=embedder.spec,
            claimed=set(),
            stop=threading.Event(),
            keep=None,
            max_page_bytes=1 << 20,
            vector_bytes=int,
        )
        for page in reader.pages(sources):
            _add(found, page, scratch)
            reader.forget_claims()
        found.vanished = look_for_vanished(paths_of(sources), store).vanished
    found.new = reader.found["new"]
    found.changed = reader.found["changed"]
    found.unchanged = reader.found["unchanged"]
    _estimate(found, settings, embedder.profile)
    return found


@contextmanager
def _stores(settings: IngestSettings, *, spec: str) -> Iterator[tuple[Store, Store]]:
    """Open the store, or an empty one where there is none, and one to scribble in."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aip-")))
        scratch = stack.enter_context(SqliteStore(folder / "seen.db"))
        store: Store = open_store(settings.store, create=False)
        if store.exists():
            stack.enter_context(store)
            store.check(spec=spec)
        else:
            store = stack.enter_context(SqliteStore(folder / "empty.db"))
        yield store, scratch


def _add(found: Plan, page: Page, scratch: Store) -> None:
    seen = scratch.known([name for name, _ in page.fresh])
    fresh = [(name, text) for name, text in page.fresh if name not in seen]
    scratch.commit(Write(vectors=[(name, b"") for name, _ in fresh]))
    found.chunks += page.read
    found.to_embed += len(fresh)
    found.to_embed_bytes += sum(len(text.encode()) for _, text in fresh)
    damage = sum(len(part.damage) for part in page.parts)
    found.unreadable += damage + len(page.unlisted)


def _estimate(found: Plan, settings: IngestSettings, profile: BatchProfile) -> None:
    found.tokens = profile.estimate_tokens(found.to_embed_bytes)
    batch = min(settings.batch_size, profile.max_texts)
    found.requests = -(-found.to_embed // batch)
    waits = []
    if settings.rpm is not None:
        waits.append(found.requests / settings.rpm * 60)
    if settings.tpm is not None:
        waits.append(found.tokens / settings.tpm * 60)
    found.seconds = max(waits, default=None)
    if settings.price is not None:
        found.cost = found.tokens * settings.price / 1_000_000
