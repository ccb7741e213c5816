"""What the pipeline asks of a system of record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, TypeAlias

from aip_readers import Chunk

if TYPE_CHECKING:
    from aip_pipeline.stores._ledger import Ledger

Remedy: TypeAlias = Literal["repair", "ingest", "restore"]


class Counts(NamedTuple):
    """Count what one generation of a source became."""

    chunks: int = 0
    filtered: int = 0
    dead: int = 0


class Became(NamedTuple):
    """Count what one transaction did: chunks that were written and removed."""

    stored: int = 0
    filtered: int = 0
    dead: int = 0
    deleted: int = 0


class DeadLetter(NamedTuple):
    """Name one stretch of a source that could not be stored, and why.

    `start` and `end` are byte offsets in the decompressed source; `end` is None
    when the damage has no known end. `text` is None where nothing could be read.
    `id` is the store's number for it, until the next ingest or retry of its source.
    """

    source: str
    start: int
    end: int | None
    line: int | None
    ordinal: int | None
    reason: str
    attempts: int
    text: str | None
    within: tuple[int, int] | None = None
    metadata: Mapping[str, object] | None = None
    id: int | None = None


class SourceState(NamedTuple):
    """Tell what the store knows of one source.

    `generation` counts the complete versions stored so far; 0 is none. The `next_`
    fields describe the version that an interrupted run left unfinished.
    """

    generation: int
    fingerprint: str | None
    counts: Counts
    next_fingerprint: str | None
    next_counts: Counts
    next_ordinal: int
    resume_offset: int
    resume_line: int
    resume_ordinal: int
    damage_offset: int


@dataclass(slots=True, kw_only=True)
class Part:
    """Carry consecutive chunks of one source to the store.

    Args:
        uri: the source.
        fingerprint: of the version being read.
        restart: True for the first part of a version that is not being resumed:
            what an earlier, different attempt left is dropped.
        last: True when this part completes the version.
        next_ordinal: ordinal of the chunk that would follow this part.
        resume_offset: byte offset from which a later run reads on.
        resume_line: line at that offset.
        resume_ordinal: ordinal of the first chunk read from that offset.
        damage_offset: damage that starts before this offset is already told; of damage
            without an offset, so many.
    """

    uri: str
    fingerprint: str
    restart: bool = False
    last: bool = False
    chunks: list[Chunk] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    damage: list[DeadLetter] = field(default_factory=list)
    filtered: int = 0
    next_ordinal: int = 0
    resume_offset: int = 0
    resume_line: int = 1
    resume_ordinal: int = 0
    damage_offset: int = 0


class Poison(NamedTuple):
    """Say why the embedder will never accept a text, and how often it was asked."""

    reason: str
    attempts: int


def letters_of(part: Part, poison: Mapping[bytes, Poison]) -> list[DeadLetter]:
    """Return what of a part cannot be stored: its damage, then its refused texts."""
    if not poison:
        return part.damage
    refused = [
        DeadLetter(
            source=part.uri,
            start=chunk.start,
            end=chunk.end,
            line=chunk.line,
            ordinal=chunk.ordinal,
            reason=poison[text_hash].reason,
            attempts=poison[text_hash].attempts,
            text=chunk.text,
            within=chunk.within,
            metadata=chunk.metadata or None,
        )
        for chunk, text_hash in zip(part.chunks, part.hashes, strict=True)
        if text_hash in poison
    ]
    return part.damage + refused


@dataclass(slots=True, kw_only=True)
class Write:
    """Hold what one transaction makes durable: vectors first, then the parts.

    `removed` names sources to forget, with their chunks; their vectors are kept, so
    that a source that comes back costs nothing. `canaries` is kept as it is.
    """

    canaries: str | None = None
    removed: list[str] = field(default_factory=list)
    vectors: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    poison: Mapping[bytes, Poison] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Settled:
    """Say what became of some dead letters, for one transaction.

    Args:
        vectors: hash and vector of texts that are accepted now.
        stored: id and text hash of letters that become chunks.
        refused: id and reason of letters that stay, refused once more.
        read_again: ids of letters whose source the next ingest must read again.
    """

    vectors: list[tuple[bytes, bytes]] = field(default_factory=list)
    stored: list[tuple[int, bytes]] = field(default_factory=list)
    refused: list[tuple[int, Poison]] = field(default_factory=list)
    read_again: list[int] = field(default_factory=list)


class Hit(NamedTuple):
    """Return one passage found, with the bytes of the source that it came from."""

    score: float
    source: str
    start: int
    end: int
    line: int
    text: str
    metadata: dict[str, object]
    within: tuple[int, int] | None


class Entry(NamedTuple):
    """Return one live chunk with all that is kept of it.

    `id` names source, place and text: it is the same in every export of the same
    content. `start` and `end` are raw byte offsets, `within` counts characters of the
    record's decoded text, `vector` holds the bytes of float32 numbers.
    """

    id: str
    source: str
    start: int
    end: int
    line: int
    within: tuple[int, int] | None
    text: str
    vector: bytes
    metadata: dict[str, object]


class Live(NamedTuple):
    """Return one live chunk for a mirror: its row's id here, its text's name, it."""

    chunk: int
    text_hash: bytes
    entry: Entry


class Fault(NamedTuple):
    """Name one thing in a store, or in a mirror of it, that is not as it must be.

    `check` is "sqlite", "fulltext", "orphan", "vector", "chunk", "count" or "canary";
    of a mirror "mirror-missing", "mirror-extra", "mirror-vector" or "mirror-metadata".
    `remedy` is "repair" where a repair mends it alone, "ingest" where its source must
    then be ingested again (a repair marks it), "restore" where only a backup, or a new
    store, helps. `mended` tells whether a repair, this or an earlier one, did its part.
    """

    check: str
    where: str
    what: str
    remedy: Remedy
    mended: bool


class StoreStatus(NamedTuple):
    """Sum up what a store holds.

    `pending` counts the stored chunks of `unfinished` sources, which answer once these
    are complete; `running` tells whether a run is writing at this moment, `pid` and
    `since` (ISO 8601) which process that is, where it can be told.
    """

    sources: int
    unfinished: int
    chunks: int
    pending: int
    running: bool
    embeddings: int
    dead: int
    embedder: str
    dimensions: int | None
    pid: int | None = None
    since: str | None = None


class Store(Protocol):
    """Keep chunks, vectors and progress, each transaction whole or not at all.

    One object is one connection, used by one thread at a time; every method blocks.
    """

    def __enter__(self) -> Self:
        """Open the connection."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""

    def exists(self) -> bool:
        """Tell whether there is a store to open."""

    def check(self, *, spec: str) -> None:
        """Raise SpaceMismatch where another embedder's vectors are stored."""

    def claim(self, *, spec: str, base_url: str | None, fulltext: bool | None) -> None:
        """Make the store this embedder's, or check that it is."""

    def embedder(self) -> tuple[str, str | None]:
        """Return the spec and base URL of the embedder that made the store."""

    def source(self, uri: str) -> SourceState | None:
        """Return what is known of a source."""

    def has_vectors(self) -> bool:
        """Tell whether any vector is stored."""

    def known(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Return those of the hashes whose vectors are stored."""

    def transaction(self) -> AbstractContextManager[Callable[[Write], Became]]:
        """Open a transaction; what it yields adds to it, its end makes it durable."""

    def commit(self, write: Write) -> Became:
        """Make *write* durable in one transaction; count what it did."""

    def canaries(self) -> str | None:
        """Return what `Write.canaries` last was."""

    def uris(self) -> Iterator[str]:
        """Yield every source, in order."""

    def by_vector(self, vector: bytes, *, k: int) -> list[tuple[int, float]]:
        """Return the ids and cosines of the k nearest chunks, nearest first."""

    def by_words(self, query: str, *, k: int) -> list[tuple[int, float]]:
        """Return the ids and BM25 scores of the k best chunks, best first."""

    def hits(self, ranked: Iterable[tuple[int, float]]) -> list[Hit]:
        """Return the passages of ranked chunk ids, in their order."""

    def entries(self) -> Iterator[Entry]:
        """Yield every live chunk by source and ordinal, all of one moment."""

    def verify(self, *, repair: bool) -> Iterator[Fault]:
        """Yield each way in which the store disagrees with itself; mend if asked."""

    def ledger(self, mirror: str) -> Ledger:
        """Return what a mirror was told, and keep other runs out meanwhile."""

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Yield what stands dead, by source and offset."""

    def dead_letter(self, number: int) -> DeadLetter | None:
        """Return the dead letter of an id."""

    def dead_after(self, number: int, *, limit: int) -> list[DeadLetter]:
        """Return the next dead letters by id."""

    def settle(self, settled: Settled) -> None:
        """Make durable, in one transaction, what became of dead letters."""

    def status(self) -> StoreStatus:
        """Return the store's totals."""
