"""Sources to pages of chunks, on a thread of its own."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from aip_pipeline._bloom import BloomFilter
from aip_pipeline._escaping import as_utf8
from aip_pipeline._fingerprint import text_hasher
from aip_pipeline._folders import folder_letter, listed_again
from aip_pipeline._headway import file_bytes
from aip_pipeline._inlet import Inlet
from aip_pipeline._report import IngestReport
from aip_pipeline._settings import IngestSettings
from aip_pipeline._sources import (
    Source,
    each_source,
    is_read_once,
    is_resumable,
    is_utf8,
    name_of,
    open_source,
    paths_of,
    version_of,
)
from aip_pipeline.stores import (
    Counts,
    DeadLetter,
    Part,
    Poison,
    SourceState,
    Store,
    letters_of,
)
from aip_readers import (
    Chunk,
    MissingExtraError,
    OpenError,
    ReadError,
    Record,
    RecordError,
    split,
)

MAX_PAGE_CHUNKS = 128
MAX_SUFFIXES = 100
CHUNK_OVERHEAD_BYTES = 600  # the tuple, its ints, the hash, the list slots
METADATA_OVERHEAD = 300  # a dict of one key and its value


class Fresh(NamedTuple):
    """Hold one text to embed, by its hash; its bytes are those of UTF-8."""

    text_hash: bytes
    text: str
    n_bytes: int


@dataclass(slots=True, kw_only=True)
class Page:
    """Carry a bounded run of chunks, possibly of several sources.

    Args:
        parts: what the store will be told.
        fresh: what must be embedded first; each text once.
        cost_bytes: memory that the page holds until it is stored.
        sources: sources that this page completes, or found unchanged.
        read: chunks in the parts, and damaged stretches that gave none.
        carried: chunks of sources that did not change, from the store.
        unlisted: what could not be listed or opened, and has no source to be kept at.
        listed: folders that have a letter of before, and can be listed now.
    """

    parts: list[Part] = field(default_factory=list)
    fresh: list[Fresh] = field(default_factory=list)
    cost_bytes: int = 0
    sources: int = 0
    read: int = 0
    carried: Counts = field(default_factory=Counts)
    unlisted: list[DeadLetter] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    n_chunks: int = 0

    def count_into(self, report: IngestReport) -> None:
        """Add what the store does not count: it is durable, so it was read."""
        report.sources += self.sources
        report.read += self.read
        report.unchanged += self.carried.chunks
        report.filtered += self.carried.filtered
        report.dead += self.carried.dead + len(self.unlisted)
        report.reused += sum(len(part.chunks) for part in self.parts) - len(self.fresh)

    def letters(self, poison: Mapping[bytes, Poison]) -> Iterator[DeadLetter]:
        """Yield what of this page could not be stored."""
        yield from self.unlisted
        for part in self.parts:
            yield from letters_of(part, poison)


class PageReader:
    """Read sources into pages; use it from one thread.

    Args:
        settings: how to read.
        store: an open connection of this thread's own.
        spec: the embedder's spec, which text hashes belong to.
        claimed: hashes that are being embedded now; shared with the writer, which
            discards each after it is durable.
        stop: set to end the reading at the next chunk.
        keep: says whether a chunk is wanted; others count as filtered.
        max_page_bytes: bound on one page.
        vector_bytes: tells the memory of one vector; an embedder may learn it late.
        inlet: waits for pipes; closed, it ends the reading where one is silent.

    Attributes:
        found: how many sources were "new", "changed" or "unchanged" so far, of those
            that could be opened.
        unlisted: whether some folder could not be listed.
        unknown: files of folders that were passed over, by their suffix.
        read_bytes: of the files, as they lie on disk; unchanged ones count as read.
        cut_off: the source that is being read, if it cannot be read again; it stays
            here where its end was not reached.
    """

    def __init__(
        self,
        settings: IngestSettings,
        *,
        store: Store,
        spec: str,
        claimed: set[bytes],
        stop: threading.Event,
        keep: Callable[[Chunk], bool] | None,
        max_page_bytes: int,
        vector_bytes: Callable[[], int],
        inlet: Inlet | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._hash = text_hasher(spec)
        self._claimed = claimed
        # What was never claimed is not in a store that had nothing: to look for it
        # there costs a page of the index, which is random, for each text.
        self._ever_claimed = None if store.has_vectors() else BloomFilter()
        self._stop = stop
        self._inlet = inlet or Inlet()
        self._keep = keep
        self._max_page_bytes = max_page_bytes
        self._vector_bytes = vector_bytes
        self._overhead_bytes = CHUNK_OVERHEAD_BYTES + vector_bytes()
        self._page = Page()
        self._texts: dict[bytes, Fresh] = {}  # of the page, by their hashes
        self._part: Part | None = None
        # A source that could not even be opened is tried again by the next run, and
        # the version that is stored goes on answering.
        self._unopened = False
        self._metadata_at = -1
        self.unlisted = False
        self.cut_off = ""
        self.read_bytes = 0
        self._ended_bytes = 0
        self.unknown: Counter[str] = Counter()
        self.found: Counter[str] = Counter()

    def pages(self, sources: Iterable[Source]) -> Iterator[Page]:
        """Yield the sources' chunks, page by page, in order.

        Raises:
            ConfigError: a source is not there at all.
        """
        given = list(sources)
        for listed in listed_again(paths_of(given), self._store):
            yield Page(listed=listed)
        for source in each_source(
            given, on_error=self._not_listed, on_unknown=self._not_known
        ):
            if self._stop.is_set() or self._inlet.closed:
                break
            yield from self._source(source)
        if self._page.parts or self._page.read or self._page.sources:
            yield self._cut()

    def forget_claims(self) -> None:
        """Drop the claims: nobody will embed these texts."""
        self._claimed.clear()

    def _not_listed(self, error: ReadError) -> None:
        """Keep a folder as a source of its own, which has a letter and nothing else."""
        self.unlisted = True
        name = as_utf8(error.source)
        state = self._store.source(name)
        if state and state.generation:  # it was a file, whose passages answer
            self._tell(error)
            return
        part = Part(uri=name, fingerprint="", restart=True)
        part.damage.append(folder_letter(name, error))
        self._page.parts.append(part)
        self._page.read += 1
        self._count_overhead()

    def _not_known(self, path: str) -> None:
        suffix = Path(path).suffix.lower() or "no suffix"
        if suffix not in self.unknown and len(self.unknown) >= MAX_SUFFIXES:
            suffix = "others"
        self.unknown[suffix] += 1

    def _source(self, source: Source) -> Iterator[Page]:
        uri = name_of(source)
        if is_utf8(source):
            yield from self._named(source, uri)
        else:
            self._refuse_name(uri)
        self._passed(source)
        if self._page_full():
            yield self._cut()

    def _named(self, source: Source, uri: str) -> Iterator[Page]:
        version = version_of(source, self._settings)
        state = self._store.source(uri)
        if state and _is_complete(state, version):
            self._carry(state.counts)
            self._page.sources += 1
            self.found["unchanged"] += 1
            return
        found = "changed" if state and state.generation else "new"
        self._metadata_at = -1
        self.cut_off = uri if is_read_once(source) else ""
        part = self._part = Part(uri=uri, fingerprint=version or "", restart=True)
        if state and version and state.next_fingerprint == version:
            self._resume(part, state)
        yield from self._chunks(source, part)
        if not self._unopened:
            self.found[found] += 1
        if not (self._stop.is_set() or self._inlet.ended or self._unopened):
            self._open_part().last = True
            self._page.sources += 1
            self.cut_off = ""
        self._close_part()

    def _refuse_name(self, uri: str) -> None:
        """Keep what cannot be named as what cannot be opened, by its escaped name."""
        error = OpenError(uri, None, None, "its name is not UTF-8")
        if os.path.lexists(uri):  # the name of another file; a string stays a string
            self._tell(error)
            return
        self._part = Part(uri=uri, fingerprint="", restart=True)
        self._cannot_open(error)
        self._close_part()

    def _passed(self, source: Source) -> None:
        """Count the whole of a source as read."""
        if isinstance(source, str):
            self._ended_bytes += file_bytes(source)
        self.read_bytes = self._ended_bytes

    def _resume(self, part: Part, state: SourceState) -> None:
        """Go on where an interrupted run stopped; what it stored counts unchanged."""
        self._carry(state.next_counts)
        part.restart = False
        part.next_ordinal = state.next_ordinal
        part.resume_offset = state.resume_offset
        part.resume_line = state.resume_line
        part.resume_ordinal = state.resume_ordinal
        part.damage_offset = state.damage_offset

    def _carry(self, counts: Counts) -> None:
        page = self._page
        page.read += sum(counts)
        page.carried = Counts(*map(sum, zip(page.carried, counts, strict=True)))

    def _chunks(self, source: Source, part: Part) -> Iterator[Page]:
        skip_before, stopped = part.next_ordinal, self._stop.is_set
        self._unopened = False
        try:
            with open_source(
                source,
                self._settings,
                on_error=self._damage_from(part.damage_offset),
                start=part.resume_offset,
                start_line=part.resume_line,
                wait=self._inlet.wait,
            ) as records:
                resumable = is_resumable(source, records)
                for chunk in self._split(records, part.resume_ordinal):
                    if chunk.ordinal < skip_before:
                        continue
                    if stopped():
                        return
                    if self._add(chunk, resumable=resumable):
                        here = getattr(records, "bytes_read", 0)
                        self.read_bytes = self._ended_bytes + here
                        yield self._cut()
        except (OpenError, MissingExtraError) as error:
            self._cannot_open(error)
        except ReadError as error:
            self._damage(error)

    def _damage_from(self, offset: int) -> Callable[[ReadError], None]:
        """Return what takes a source's damage; what lies before *offset* was told."""
        unplaced = count()

        def on_damage(error: ReadError) -> None:
            if not isinstance(error, RecordError):
                raise error
            at = next(unplaced) if error.offset is None else error.offset
            if at >= offset:
                self._damage(error)

        return on_damage

    def _split(self, records: Iterable[Record], first_ordinal: int) -> Iterator[Chunk]:
        return split(
            records,
            size=self._settings.chunk_size,
            overlap=self._settings.chunk_overlap,
            clean=self._settings.clean,
            first_ordinal=first_ordinal,
        )

    def _add(self, chunk: Chunk, *, resumable: bool) -> bool:
        """Add a chunk to the page; tell whether the page is full."""
        part, page = self._open_part(), self._page
        _, text, start, end, _, ordinal, metadata, line = chunk
        part.next_ordinal = ordinal + 1
        if metadata and start != self._metadata_at:
            self._metadata_at = start
            # Of what it was read from, what is not this text; at least a dict.
            page.cost_bytes += METADATA_OVERHEAD + max(0, end - start - len(text))
        if resumable and start != part.resume_offset:
            part.resume_offset = start
            part.resume_line = line
            part.resume_ordinal = ordinal
        page.read += 1
        page.n_chunks += 1
        if self._keep is not None and not self._keep(chunk):
            part.filtered += 1
        else:
            encoded = text.encode()
            text_hash = self._hash(encoded)
            part.chunks.append(chunk)
            part.hashes.append(text_hash)
            self._texts[text_hash] = Fresh(text_hash, text, len(encoded))
            page.cost_bytes += sys.getsizeof(text) + self._overhead_bytes
        return self._page_full()

    def _damage(self, error: ReadError) -> None:
        if self._inlet.ended:  # in the middle of a line, which is no damage of its own
            return
        part, page = self._open_part(), self._page
        part.damage.append(
            DeadLetter(
                source=part.uri,
                start=error.offset or 0,
                end=None,
                line=error.line,
                ordinal=None,
                reason=error.reason,
                attempts=1,
                text=None,
            )
        )
        # Damage without a place, such as a page of a PDF, is counted instead.
        at = part.damage_offset if error.offset is None else error.offset
        part.damage_offset = at + 1
        page.read += 1
        self._count_overhead()

    def _cannot_open(self, error: ReadError) -> None:
        """Leave the source to the next run, and what is stored of it as it is.

        Without a fingerprint the next run begins anew, so the letter stands once; an
        interrupted version that could be gone on from is not touched at all.
        """
        self._unopened = True
        part = self._open_part()
        if part.restart and not part.chunks:
            part.fingerprint = ""
            self._damage(error)
        else:
            self._tell(error)

    def _tell(self, error: ReadError) -> None:
        """Report what cannot be kept as a dead letter of a source."""
        start, line = error.offset or 0, error.line
        source = as_utf8(error.source)
        letter = DeadLetter(source, start, None, line, None, error.reason, 1, None)
        self._page.unlisted.append(letter)
        self._page.read += 1
        self._count_overhead()

    def _open_part(self) -> Part:
        assert self._part is not None, "chunks come only while a source is open"  # noqa: S101  # states the invariant
        return self._part

    def _close_part(self) -> None:
        if self._part is not None:
            self._page.parts.append(self._part)
            self._part = None
            self._count_overhead()

    def _count_overhead(self) -> None:
        """Count what is small but may come without end: a letter, an empty file."""
        self._page.n_chunks += 1
        self._page.cost_bytes += CHUNK_OVERHEAD_BYTES

    def _page_full(self) -> bool:
        page = self._page
        return (
            page.n_chunks >= MAX_PAGE_CHUNKS or page.cost_bytes >= self._max_page_bytes
        )

    def _cut(self) -> Page:
        """End the page; an open source goes on in the next one."""
        before = self._part
        self._close_part()
        page, self._page = self._page, Page()
        self._overhead_bytes = CHUNK_OVERHEAD_BYTES + self._vector_bytes()
        page.fresh = self._claim()
        if before is not None:
            self._part = Part(
                uri=before.uri,
                fingerprint=before.fingerprint,
                next_ordinal=before.next_ordinal,
                resume_offset=before.resume_offset,
                resume_line=before.resume_line,
                resume_ordinal=before.resume_ordinal,
                damage_offset=before.damage_offset,
            )
        return page

    def _claim(self) -> list[Fresh]:
        """Pick the texts that nobody has embedded or is embedding; claim them.

        Claims are looked at before the store: a claim is given up only after its
        vector is durable, so a text missing from both was never embedded.
        """
        texts, self._texts = self._texts, {}
        unclaimed = [text_hash for text_hash in texts if text_hash not in self._claimed]
        asked = unclaimed
        if self._ever_claimed is not None:
            asked = self._ever_claimed.maybe(unclaimed)
            self._ever_claimed.add(unclaimed)
        known = self._store.known(asked)
        fresh = [name for name in unclaimed if name not in known]
        self._claimed.update(fresh)
        return [texts[name] for name in fresh]


def _is_complete(state: SourceState, version: str | None) -> bool:
    """Tell whether this very version is stored, and no other was begun since."""
    return (
        version is not None
        and state.fingerprint == version
        and state.next_fingerprint is None
    )
