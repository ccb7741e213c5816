"""The run: read, batch, embed, commit, each at its own speed, within one budget."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from glob import has_magic
from pathlib import Path
from time import monotonic
from typing import Unpack

from aip_pipeline._batching import Batcher, Item, Ticket
from aip_pipeline._bottleneck import Bottleneck
from aip_pipeline._budget import BudgetClosed, ByteBudget
from aip_pipeline._errors import ConfigError, EmbedderRefused, PipelineError
from aip_pipeline._reading import Page, PageReader
from aip_pipeline._report import IngestReport, peak_memory_bytes
from aip_pipeline._settings import IngestOptions, IngestSettings
from aip_pipeline._writing import (
    MAX_TRANSACTION_BYTES,
    Committed,
    Vectors,
    Writer,
)
from aip_pipeline.embedders import Embedder, open_embedder
from aip_pipeline.stores import DeadLetter, Poison, letters_of, open_store
from aip_readers import Chunk

ASSUMED_DIMENSIONS = 1536  # until the embedder tells
HOPELESS_REFUSALS = 64  # texts refused before the first success


class Ingestion:
    """One run of the pipeline: `run` it once; `report` is live meanwhile.

    Args:
        sources: files, folders and globs.
        settings: how to read, embed and store.
        embedder: used instead of the one that the settings name.
        keep: says whether a chunk is wanted; others count as filtered.
        on_dead: called on the event loop with each dead letter, once it is stored.
    """

    def __init__(
        self,
        sources: Iterable[str],
        *,
        settings: IngestSettings,
        embedder: Embedder | None = None,
        keep: Callable[[Chunk], bool] | None = None,
        on_dead: Callable[[DeadLetter], None] | None = None,
    ) -> None:
        self.report = IngestReport()
        self.settings = settings
        self.interrupted = False
        self._sources: Sequence[str] = tuple(sources)
        self._given = embedder
        self._keep = keep
        self._on_dead = on_dead
        self._stop = threading.Event()
        self._claimed: set[bytes] = set()
        self._poison: dict[bytes, Poison] = {}
        self._tickets: deque[Ticket] = deque()
        self._budget = ByteBudget(settings.max_memory_bytes)
        self._bottleneck = Bottleneck()
        self._any_embedded = False

    @property
    def bottleneck(self) -> str:
        """The stage that the rest most often waited for so far."""
        return self._bottleneck.name

    def drain(self) -> None:
        """Stop reading; what is in flight is embedded and stored, then `run` returns.

        Call it on the event loop, such as from a signal handler.
        """
        self.interrupted = True
        self._stop.set()

    async def run(self) -> IngestReport:
        """Ingest the sources; see `ingest`."""
        started = monotonic()
        try:
            _check_sources(self._sources)
            await self._run()
        finally:
            report = self.report
            report.seconds = monotonic() - started
            report.peak_memory_bytes = peak_memory_bytes()
            report.bottleneck = self._bottleneck.name
        report.check()
        return report

    async def _run(self) -> None:
        settings = self.settings
        async with AsyncExitStack() as stack:
            embedder = self._given or open_embedder(
                settings.embedder,
                base_url=settings.base_url,
                dimensions=settings.dimensions,
                concurrency=settings.concurrency,
                rpm=settings.rpm,
                tpm=settings.tpm,
            )
            self._embedder = await stack.enter_async_context(embedder)
            self._batcher = Batcher(embedder.profile, max_texts=settings.batch_size)
            pool = stack.enter_context(ThreadPoolExecutor(2, "aip"))
            stack.callback(self._account)
            try:
                await self._pump(pool)
            except BaseExceptionGroup as group:
                raise _first(group) from group

    def _account(self) -> None:
        usage, report = self._embedder.usage, self.report
        report.requests = usage.requests
        report.retries = usage.retries
        report.tokens = usage.tokens

    async def _pump(self, pool: ThreadPoolExecutor) -> None:
        """Run the writer's thread around everything that feeds it."""
        loop = asyncio.get_running_loop()

        def on_commit(done: Committed) -> None:
            loop.call_soon_threadsafe(self._committed, done)

        self._writer = Writer(
            max_bytes=min(MAX_TRANSACTION_BYTES, self._budget.max_bytes // 4),
            claimed=self._claimed,
            poison=self._poison,
            on_commit=on_commit,
        )
        opened: asyncio.Future[None] = loop.create_future()
        writing = loop.run_in_executor(pool, self._write_all, loop, opened)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_joined(writing))
                await asyncio.wait([opened, watch], return_when="FIRST_COMPLETED")
                if opened.done():
                    await self._feed_and_embed(pool)
                self._writer.close()
        finally:
            self._writer.close()
            await asyncio.wait([writing])
            opened.cancel()

    def _write_all(
        self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]
    ) -> None:
        """Open the store and write until the run ends; on the writer's thread."""
        settings = self.settings
        with open_store(settings.store) as store:
            store.claim(
                spec=self._embedder.spec,
                base_url=settings.base_url,
                fulltext=settings.fulltext,
            )
            loop.call_soon_threadsafe(_settle, opened)
            self._writer.run(store)

    async def _feed_and_embed(self, pool: ThreadPoolExecutor) -> None:
        workers = self._embedder.max_in_flight
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(self._sample())
            async with asyncio.TaskGroup() as inner:
                inner.create_task(self._feed(pool, workers=workers))
                for _ in range(workers):
                    inner.create_task(self._work())
            sampler.cancel()

    async def _feed(self, pool: ThreadPoolExecutor, *, workers: int) -> None:
        """Run the reader's thread; stop it and wait for it, however this ends."""
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(pool, self._read_all, loop)
        try:
            await asyncio.shield(reading)
        finally:
            self._stop.set()
            self._budget.close()
            await asyncio.wait([reading])
        self._batcher.close(workers=workers)

    def _read_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read every page and hand it to the loop; on the reader's thread."""
        dimensions = self._embedder.dimensions or ASSUMED_DIMENSIONS
        with open_store(self.settings.store) as store:
            reader = PageReader(
                self.settings,
                store=store,
                spec=self._embedder.spec,
                claimed=self._claimed,
                stop=self._stop,
                keep=self._keep,
                max_page_bytes=min(1 << 20, self.settings.max_memory_bytes // 8),
                vector_bytes=4 * dimensions,
            )
            for page in reader.pages(self._sources):
                accepted = asyncio.run_coroutine_threadsafe(self._accept(page), loop)
                try:
                    accepted.result()
                except BudgetClosed:
                    return

    async def _accept(self, page: Page) -> None:
        """Admit a page to the budget, then to the batches."""
        if self._budget.used_bytes + page.cost_bytes > self._budget.max_bytes:
            self._batcher.flush_if_idle()
        await self._budget.acquire(page.cost_bytes)
        self._count_read(page)
        ticket = Ticket(page, len(page.fresh))
        self._tickets.append(ticket)
        self._batcher.put(ticket)
        self._advance()

    def _count_read(self, page: Page) -> None:
        report, carried = self.report, page.carried
        report.sources += page.sources
        report.read += page.read
        report.unchanged += carried.chunks
        report.filtered += carried.filtered
        report.dead += carried.dead
        report.reused += sum(len(part.chunks) for part in page.parts) - len(page.fresh)

    async def _work(self) -> None:
        while (batch := await self._batcher.get()) is not None:
            await self._embed(batch, attempts=1)
            self._batcher.done()
            if self._budget.blocked:
                self._batcher.flush_if_idle()

    async def _embed(self, batch: list[Item], *, attempts: int) -> None:
        """Embed a batch; one that is refused is halved until the bad text is alone."""
        try:
            array = await self._embedder.embed([item.text for item in batch])
        except EmbedderRefused as error:
            if len(batch) == 1:
                self._bury(batch[0], error, attempts=attempts)
                return
            middle = len(batch) // 2
            await self._embed(batch[:middle], attempts=attempts + 1)
            await self._embed(batch[middle:], attempts=attempts + 1)
            return
        self._any_embedded = True
        hashes = [item.text_hash for item in batch]
        self._writer.put(Vectors(hashes=hashes, array=array))
        self._settle(batch)

    def _bury(self, item: Item, error: EmbedderRefused, *, attempts: int) -> None:
        """Set a refused text aside, unless it seems that all are refused."""
        self._poison[item.text_hash] = Poison(error.reason, attempts)
        if not self._any_embedded and len(self._poison) >= HOPELESS_REFUSALS:
            raise error
        self._settle([item])

    def _settle(self, batch: list[Item]) -> None:
        for item in batch:
            item.ticket.unsettled -= 1
        self._advance()

    def _advance(self) -> None:
        """Send settled pages to the writer, in the order they were read.

        The order makes progress a single offset per source, and puts every vector
        before the first page that needs it.
        """
        tickets = self._tickets
        while tickets and not tickets[0].unsettled:
            self._writer.put(tickets.popleft().page)

    def _committed(self, done: Committed) -> None:
        report = self.report
        report.stored += done.counts.chunks
        report.filtered += done.counts.filtered
        report.dead += done.counts.dead
        report.embedded += done.embedded
        self._account()
        if done.counts.dead and self._on_dead is not None:
            for page in done.pages:
                for part in page.parts:
                    for letter in letters_of(part, self._poison):
                        self._on_dead(letter)
        self._budget.release(sum(page.cost_bytes for page in done.pages))

    async def _sample(self) -> None:
        """Note, now and then, what everything else is waiting for."""
        while True:
            await asyncio.sleep(0.05)
            self._bottleneck.note(
                reader_blocked=self._budget.blocked,
                batches_ready=self._batcher.ready,
                in_flight=self._batcher.in_flight,
                writer_waiting=self._writer.waiting,
            )


async def ingest(
    sources: str | Iterable[str],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Read, chunk, embed and store sources; what is stored already costs nothing.

    Args:
        sources: files, folders (recursive) and globs.
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
        [sources] if isinstance(sources, str) else sources,
        settings=IngestSettings(embedder=spec, **settings),
        embedder=None if isinstance(embedder, str) else embedder,
        keep=keep,
    )
    return await run.run()


def ingest_sync(
    sources: str | Iterable[str],
    *,
    embedder: str | Embedder = "local",
    keep: Callable[[Chunk], bool] | None = None,
    **settings: Unpack[IngestOptions],
) -> IngestReport:
    """Run `ingest` where there is no event loop."""
    return asyncio.run(ingest(sources, embedder=embedder, keep=keep, **settings))


def _check_sources(sources: Sequence[str]) -> None:
    """Refuse sources that are not there, before anything is read or paid for."""
    if not sources:
        raise ConfigError("no source given: name a file, a folder or a glob")
    for source in sources:
        if not has_magic(source) and not Path(source).exists():
            raise ConfigError(
                f"no such file or folder at {source}: check the path; nothing was read"
            )


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _joined(future: asyncio.Future[None]) -> None:
    """Wait for a thread's work, without cancelling it."""
    await asyncio.shield(future)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Pick the error that explains the others: our own before any."""
    ours = group.subgroup(PipelineError)
    found: BaseException = ours or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
