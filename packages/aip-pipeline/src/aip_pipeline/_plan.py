"""What an ingestion would do and cost, found without sending anything."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Literal, TypeAlias

from aip_pipeline._canary import CANARY_TEXTS, CanaryCheck
from aip_pipeline._pruning import look_for_vanished, sources_to_read
from aip_pipeline._reading import Page, PageReader
from aip_pipeline._settings import IngestSettings
from aip_pipeline._sources import Source, paths_of
from aip_pipeline._spending import MOST_TOKENS_PER_BYTE, batch_bytes
from aip_pipeline._tokens import HIGHEST, LOWEST, TokenEstimate
from aip_pipeline.embedders import BatchProfile, Embedder, open_embedder
from aip_pipeline.embedders._spec import Spec
from aip_pipeline.stores import SqliteStore, Store, Write, open_store

Verdict: TypeAlias = Literal["enough", "unsure", "too small"]

UTF8_BYTES = 4  # of one character, at most


@dataclass(slots=True, kw_only=True)
class Plan:
    """Count what a run would find; sources and chunks unless named otherwise.

    `new`, `changed` and `unchanged` are the sources that can be opened, as a run and
    `aip status` count them. `unreadable` counts places in them, and each source or
    folder that cannot be opened; `chunks` counts these and the dead ones too.
    `tokens` is an estimate from the characters of the texts, and so are `cost` (None
    where no price is known) and `seconds` (None where no limit is declared). `requests`
    and `tokens` include the canaries, which each run that embeds sends along, or
    alone where a repair of the store asks for new ones.
    `dead` counts the dead letters of unchanged sources, which stay. `passed_over`
    counts, by suffix, the files of folders that would not be read.
    `budget` says whether `max_tokens` or `max_cost` is enough; None where none is set.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    vanished: int = 0
    unreadable: int = 0
    dead: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    chunks: int = 0
    to_embed: int = 0
    to_embed_bytes: int = 0
    tokens: int = 0
    requests: int = 0
    seconds: float | None = None
    cost: float | None = None
    budget: Verdict | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the JSON object that `aip plan --json` prints."""
        return asdict(self)


def plan(sources: Sequence[Source], *, settings: IngestSettings) -> Plan:
    """Read the sources as `ingest` would, and send nothing.

    Memory is bounded as in a run: the texts seen are kept by their hashes, in a
    temporary file.

    Raises:
        ConfigError: a source or setting cannot be right.
        SpaceMismatch: the store holds another embedder's vectors.
        StoreError: its canaries are damaged, as for `ingest`.
    """
    to_read = sources_to_read(sources, settings=settings)
    embedder = open_embedder(
        settings.embedder,
        base_url=settings.base_url,
        dimensions=settings.dimensions,
        api_key="unused",  # nothing is sent
    )
    found, estimate = Plan(), TokenEstimate(embedder.spec)
    canary = CanaryCheck(embedder.spec)
    with _stores(settings, spec=embedder.spec) as (store, scratch):
        canary.load(store.canaries(), has_vectors=store.has_vectors())
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
        for page in reader.pages(to_read):
            _add(found, page, scratch, estimate)
            reader.forget_claims()
        found.vanished = look_for_vanished(paths_of(sources), store).vanished
    found.new = reader.found["new"]
    found.changed = reader.found["changed"]
    found.unchanged = reader.found["unchanged"]
    found.passed_over = dict(reader.unknown)
    _estimate(found, estimate, settings, embedder, lacking=canary.lacking)
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


def _add(found: Plan, page: Page, scratch: Store, estimate: TokenEstimate) -> None:
    seen = scratch.known([name for name, _, _ in page.fresh])
    fresh = [(n, text.encode()) for n, text, _ in page.fresh if n not in seen]
    scratch.commit(Write(vectors=[(name, b"") for name, _ in fresh]))
    found.chunks += page.read
    found.to_embed += len(fresh)
    found.to_embed_bytes += sum(len(text) for _, text in fresh)
    estimate.add(text for _, text in fresh)
    damage = sum(len(part.damage) for part in page.parts)
    found.unreadable += damage + len(page.unlisted)
    found.dead += page.carried.dead


def _estimate(
    found: Plan,
    estimate: TokenEstimate,
    settings: IngestSettings,
    embedder: Embedder,
    *,
    lacking: bool,
) -> None:
    """Work out what follows from the texts to embed, and the canaries before them."""
    sent_bytes = found.to_embed_bytes
    if found.to_embed or lacking:
        canaries = [text.encode() for text in CANARY_TEXTS]
        estimate.add(canaries)
        sent_bytes += sum(map(len, canaries))
        if Spec.parse(embedder.spec).provider != "local":  # which sends none
            found.requests = _requests(found, settings, embedder.profile, alone=lacking)
    found.tokens = estimate.tokens
    waits = []
    if settings.rpm is not None:
        waits.append(60 * found.requests / settings.rpm)
    if settings.tpm is not None:
        waits.append(60 * found.tokens / settings.tpm)
    found.seconds = max(waits, default=None)
    if settings.price is not None:
        found.cost = found.tokens * settings.price / 1_000_000
    limit = settings.token_limit()
    if limit is not None:
        first_bytes = min(sent_bytes, _first_bytes(settings, embedder.profile))
        found.budget = _verdict(found.tokens, first_bytes, limit_tokens=limit)


def _requests(
    found: Plan, settings: IngestSettings, profile: BatchProfile, *, alone: bool
) -> int:
    """Count the requests that hold all texts, the canaries of the first included.

    Those that a repair asks for go before all texts, *alone*.
    """
    most_texts = min(settings.batch_size, profile.max_texts)
    by_tokens = int(profile.max_tokens * profile.bytes_per_token)
    by_budget = batch_bytes(settings.token_limit())
    most_bytes = min(profile.max_bytes, by_tokens, by_budget)
    # Where there is no room beside the canaries, one text goes after them, alone.
    beside = most_texts - len(CANARY_TEXTS)
    slices = -(-len(CANARY_TEXTS) // most_texts)
    room, canaries = max(1, beside), 1 + slices if alone or beside < 1 else 1
    if not found.to_embed:
        return slices
    by_texts = canaries + -(-max(0, found.to_embed - room) // most_texts)
    return max(by_texts, ceil(found.to_embed_bytes / max(1, most_bytes)))


def _first_bytes(settings: IngestSettings, profile: BatchProfile) -> float:
    """Say how much the first request may hold at the most: one text, or many."""
    texts = min(settings.batch_size, profile.max_texts)
    text_bytes = settings.chunk_size * UTF8_BYTES
    by_budget = max(text_bytes, batch_bytes(settings.token_limit()))
    return min(texts * text_bytes, by_budget, profile.max_bytes)


def _verdict(tokens: int, first_bytes: float, *, limit_tokens: int) -> Verdict:
    """Judge a budget as a run does, which never risks to overspend it.

    Before the server's first answer a run sets aside a token for each byte of its first
    request, and afterwards a little more than texts were found to cost.
    """
    if tokens > limit_tokens * HIGHEST:
        return "too small"
    most = max(tokens / LOWEST, first_bytes * MOST_TOKENS_PER_BYTE)
    return "enough" if most <= limit_tokens else "unsure"
