"""The run: read, batch, embed, commit, each at its own speed, within one budget."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, nullcontext, suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from aip_pipeline._batching import Batcher, Item, Ticket
from aip_pipeline._bottleneck import Bottleneck, LoopLag
from aip_pipeline._budget import BudgetClosed, ByteBudget
from aip_pipeline._canary import CANARY_BYTES, CANARY_TEXTS, CanaryCheck
from aip_pipeline._errors import ConservationError, EmbedderRefused, PruneRefused
from aip_pipeline._events import RunLog
from aip_pipeline._first_request import embed_first
from aip_pipeline._inlet import Inlet
from aip_pipeline._memory import peak_memory_bytes
from aip_pipeline._mirroring import Mirroring
from aip_pipeline._pruning import (
    Vanished,
    check_prune,
    forget_vanished,
    look_for_vanished,
    sources_to_read,
)
from aip_pipeline._reading import Page, PageReader
from aip_pipeline._report import IngestReport
from aip_pipeline._sampling import Sample
from aip_pipeline._settings import IngestSettings
from aip_pipeline._sources import Source, paths_of
from aip_pipeline._spending import TokenBudget
from aip_pipeline._waiting import ended, first_error, joined, off_loop, settle
from aip_pipeline._writing import Canaries, Committed, Vectors, Writer
from aip_pipeline.embedders import Embedder, open_embedder
from aip_pipeline.mirrors import Mirror
from aip_pipeline.stores import DeadLetter, Poison, Store, open_store
from aip_readers import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ASSUMED_DIMENSIONS = 1536  # until the embedder tells
SAMPLE_S = 0.05
HOPELESS_REFUSALS = 64  # texts refused before the first success


class Ingestion:
    """One run of the pipeline: `run` it once; `report` is live meanwhile.

    Args:
        sources: files, folders, globs, `-` for standard input, URLs, or records.
        settings: how to read, embed and store.
        embedder: used instead of the one that the settings name.
        keep: says whether a chunk is wanted; others count as filtered.
        on_dead: called on the event loop with each dead letter, once it is stored.
        mirror: used instead of the one that the settings name.

    Attributes:
        interrupted: whether `drain` ended it early.
        exhausted: whether a budget ended it early.
        vanished: stored sources that are no more; known once all was read.
        removed: those of them that were pruned.
        loop_lag_s: how late the event loop woke.
        unknown: files of folders that were passed over, by suffix; known at the end.
        read_bytes: of the files so far, as they lie on disk.
        spending: what the budget of tokens still admits.
        accepted: chunks read so far; the report counts those that are durable.
        sends: whether what was read is still sent to be embedded.
        cut_off: the source that cannot be read again, and was not read to its end.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        settings: IngestSettings,
        embedder: Embedder | None = None,
        keep: Callable[[Chunk], bool] | None = None,
        on_dead: Callable[[DeadLetter], None] | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        self.report = IngestReport()
        self.settings = settings
        self.interrupted = self.exhausted = False
        self.vanished = Vanished(0, 0)
        self.loop_lag_s = LoopLag()
        self.read_bytes = self.accepted = self.removed = self._writing_bytes = 0
        self.unknown: Mapping[str, int] = {}
        self.sources: Sequence[Source] = tuple(sources)
        self._given = embedder
        self._mirroring = Mirroring(settings.store, mirror, settings.mirror)
        self._keep = keep
        self._on_dead = on_dead
        self._stop, self._inlet = threading.Event(), Inlet()
        self.sends, self.cut_off = True, ""
        self._claimed: set[bytes] = set()
        self._poison: dict[bytes, Poison] = {}
        self._tickets: deque[Ticket] = deque()
        self._budget = ByteBudget(settings.max_memory_bytes)
        self.spending = TokenBudget(settings.token_limit())
        self._bottleneck = Bottleneck()
        self._log = RunLog()
        self._refused: PruneRefused | None = None
        self._any_embedded = self._may_prune = self._all_settled = False
        self._callback_error: Exception | None = None
        self._alone = asyncio.Lock()
        self._workers: list[asyncio.Task[None]] = []

    @property
    def bottleneck(self) -> str:
        """The stage that the rest most often waited for so far."""
        return self._bottleneck.name

    @property
    def waits_for(self) -> str:
        """What the run mostly waited for in the last seconds, and for what part."""
        return self._mirroring.waits_for or self._bottleneck.now

    @property
    def held_bytes(self) -> int:
        """Text and vectors in flight, as the byte budget counts them."""
        return self._budget.used_bytes

    def sample(self, at_s: float) -> Sample:
        """Return how the run stands; call it on the event loop.

        Args:
            at_s: the time to put on it, in seconds since the start.
        """
        # There is no batcher, and no embedder, until the run has begun.
        batcher: Batcher | None = getattr(self, "_batcher", None)
        return Sample.of(
            self.report,
            getattr(self, "_embedder", None),
            at_s=at_s,
            batches=batcher.in_flight if batcher else 0,
            held_bytes=self.held_bytes,
        )

    def drain(self) -> None:
        """Send nothing more; what is in flight is stored, then `run` returns.

        Where no answer is on its way, as from a server that is down, none is awaited.
        Where a pipe is awaited, what was read is sent first: it cannot be read again.
        Call it on the event loop, such as from a signal handler.
        """
        self.interrupted = self._inlet.closed = True
        if not self._inlet.waiting or self.sample(0.0).outage:
            self._stop_sending()

    def _stop_sending(self) -> None:
        self.sends = False
        self._end_early()

    def _end_early(self) -> None:
        self._stop.set()
        self._budget.close()

    async def run(self) -> IngestReport:
        """Ingest the sources; see `ingest`."""
        self._started_s, outcome = monotonic(), "failed"
        self._log.started(self.settings, sources=len(self.sources))
        try:
            found = off_loop(sources_to_read, self.sources, settings=self.settings)
            self._to_read = await found
            await self._run()
            outcome = self._ended()
        except asyncio.CancelledError:
            outcome = "interrupted"
            raise
        finally:
            self.conclude(outcome)
        return self.report

    def conclude(self, outcome: str) -> None:
        """Complete the report, and log it; for whoever ends the process meanwhile."""
        report = self.report
        report.seconds = monotonic() - self._started_s
        report.peak_memory_bytes = peak_memory_bytes()
        report.bottleneck = self._bottleneck.name
        self._log.finished(report, outcome=outcome)

    def _ended(self) -> str:
        if self.interrupted:
            return "interrupted"
        return "stopped by a budget" if self.exhausted else "done"

    def _check(self, report: IngestReport) -> None:
        """Compare what the reader counted with what the writer made durable."""
        if self.sends and self.accepted != report.read:
            raise ConservationError(
                f"{self.accepted} chunks were read but {report.read} were committed: "
                "please report this bug"
            )
        report.check()

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
                deadline_s=settings.deadline_s,
            )
            self._embedder = await stack.enter_async_context(embedder)
            self._canary = CanaryCheck(embedder.spec)
            self._batcher = Batcher(
                lambda: embedder.profile,
                max_texts=settings.batch_size,
                max_bytes=self.spending.max_bytes,
                kept_free=len(CANARY_TEXTS),
            )
            pool = stack.enter_context(ThreadPoolExecutor(2, "aip"))
            stack.callback(self._account)
            try:
                await self._pump(pool)
            except BaseExceptionGroup as group:
                raise first_error(group) from group
            self._check(self.report)  # before all else that may raise
            await self._mirroring.run_after(
                self._callback_error or self._refused,
                self.report,
                stopped=lambda: self.interrupted,
            )

    def _account(self) -> None:
        usage, report = self._embedder.usage, self.report
        report.requests, report.retries = usage.requests, usage.retries
        report.tokens = usage.tokens

    async def _pump(self, pool: ThreadPoolExecutor) -> None:
        """Run the writer's thread around everything that feeds it."""
        loop = asyncio.get_running_loop()

        self._writer = Writer(
            claimed=self._claimed,
            poison=self._poison,
            on_added=lambda size: loop.call_soon_threadsafe(self._added, size),
            on_commit=lambda done: loop.call_soon_threadsafe(self._committed, done),
        )
        opened: asyncio.Future[None] = loop.create_future()
        writing = loop.run_in_executor(pool, self._write_all, loop, opened)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(joined(writing))
                await asyncio.wait([opened, watch], return_when="FIRST_COMPLETED")
                if opened.done():
                    await self._feed_and_embed(pool)
                self._all_settled = True
                self._writer.close()
        finally:
            self._writer.close()
            await ended(writing)
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
            self._canary.load(store.canaries(), has_vectors=store.has_vectors())
            loop.call_soon_threadsafe(settle, opened)
            self._writer.run(store)
            # Only now, when no page of a source that has vanished is on its way.
            if self._may_prune and self._all_settled:
                done = Committed()
                gone = forget_vanished(paths_of(self.sources), store)
                self.removed, done.counts.deleted = gone
                loop.call_soon_threadsafe(self._committed, done)

    async def _feed_and_embed(self, pool: ThreadPoolExecutor) -> None:
        if self._canary.lacking:  # a repair asks for new ones
            await self._spend(CANARY_BYTES, lambda: self._ask([]))
        workers = self._embedder.max_in_flight
        async with asyncio.TaskGroup() as group:
            sampler = group.create_task(self._sample())
            async with asyncio.TaskGroup() as inner:
                inner.create_task(self._feed(pool, workers=workers))
                working = (self._work() for _ in range(workers))
                self._workers = [inner.create_task(work) for work in working]
            sampler.cancel()

    async def _feed(self, pool: ThreadPoolExecutor, *, workers: int) -> None:
        """Run the reader's thread; stop it and wait for it, however this ends."""
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(pool, self._read_all, loop)
        try:
            await asyncio.shield(reading)
        finally:
            self._end_early()
            await ended(reading)
        self._batcher.close(workers=workers)

    def _vector_bytes(self) -> int:
        return 4 * (self._embedder.dimensions or ASSUMED_DIMENSIONS)

    def _read_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read every page and hand it to the loop; on the reader's thread."""
        with open_store(self.settings.store) as store:
            reader = PageReader(
                self.settings,
                store=store,
                spec=self._embedder.spec,
                claimed=self._claimed,
                stop=self._stop,
                inlet=self._inlet,
                keep=self._keep,
                max_page_bytes=min(1 << 19, self.settings.max_memory_bytes // 16),
                vector_bytes=self._vector_bytes,
            )
            for page in reader.pages(self._to_read):
                self.read_bytes = reader.read_bytes
                accepted = asyncio.run_coroutine_threadsafe(self._accept(page), loop)
                try:
                    accepted.result()
                except BudgetClosed:
                    break
            self.unknown, self.cut_off = reader.unknown, reader.cut_off
            if not (self._stop.is_set() or self._inlet.closed):
                self._look_for_vanished(store, listing_complete=not reader.unlisted)

    def _look_for_vanished(self, store: Store, *, listing_complete: bool) -> None:
        """Count what has vanished; forget it, where that was asked for and is safe."""
        found = self.vanished = look_for_vanished(paths_of(self.sources), store)
        if self.settings.prune:
            yes = self.settings.yes
            try:
                check_prune(found, listing_complete=listing_complete, yes=yes)
            except PruneRefused as refused:
                self._refused = refused
            self._may_prune = self._refused is None

    async def _accept(self, page: Page) -> None:
        """Admit a page to the budget, then to the batches."""
        admitted = asyncio.ensure_future(self._budget.acquire(page.cost_bytes))
        await asyncio.sleep(0)  # lets it ask
        self._flush_if_stuck()
        await admitted
        self.accepted += page.read
        ticket = Ticket(page, len(page.fresh))
        self._tickets.append(ticket)
        self._batcher.put(ticket)
        self._advance()

    async def _work(self) -> None:
        while (batch := await self._batcher.get()) is not None:
            if self.sends:
                embed = partial(self._embed, batch.items, attempts=1)
                await self._spend(batch.n_bytes, embed)
            self._batcher.done()
            self._flush_if_stuck()

    async def _spend(
        self, n_bytes: int, embed: Callable[[], Awaitable[object]]
    ) -> None:
        """Embed some texts if the tokens for them are left; else end the run."""
        reserved = await self.spending.reserve(
            n_bytes, spent_tokens=lambda: self._embedder.usage.tokens
        )
        if reserved is None:
            self.exhausted = not self.interrupted
            self._stop_sending()
            return
        try:
            with suppress(BudgetClosed):
                await embed()
        finally:
            self.spending.settle(reserved, n_bytes=n_bytes)

    async def _embed(self, batch: list[Item], *, attempts: int) -> None:
        """Embed a batch; one that is refused is halved until the bad text is alone."""
        try:
            array = await self._ask([item.text for item in batch])
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

    async def _ask(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed texts; the first go alone, with the canaries."""
        async with nullcontext() if self._canary.passed else self._alone:
            if not self.sends:  # while they waited for their turn
                raise BudgetClosed
            if not self._canary.passed:
                return await self._ask_first(texts)
        return await self._embedder.embed(texts)

    async def _ask_first(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed texts after the canaries, or with them; see `embed_first`."""
        used, check = self._embedder, self._pass_canaries
        room = min(self.settings.batch_size, used.profile.max_texts)
        return await embed_first(used, texts, room=room, check=check)

    def _pass_canaries(self, vectors: NDArray[np.float32]) -> None:
        written = self._canary.check(vectors)
        if written is not None:
            self._writer.put(Canaries(written))

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
            page = tickets.popleft().page
            self._writing_bytes += page.cost_bytes
            self._writer.put(page)

    def _added(self, n_bytes: int) -> None:
        """Give the memory of a page back; the store holds it now."""
        self._writing_bytes -= n_bytes
        self._budget.release(n_bytes)
        self._flush_if_stuck()

    def _committed(self, done: Committed) -> None:
        """Count what is durable, and only that."""
        self.report.add(done.counts)
        self._account()
        self._log.retries(self.report.retries)
        self._log.committed(done)
        if self._on_dead is not None:
            for letter in done.letters:
                self._tell_dead(letter, self._on_dead)

    def _tell_dead(
        self, letter: DeadLetter, on_dead: Callable[[DeadLetter], None]
    ) -> None:
        """Call the user's function; its error ends the run, but loses nothing."""
        try:
            on_dead(letter)
        except Exception as error:  # noqa: BLE001  # raised again when all is stored
            self._callback_error = self._callback_error or error

    def _flush_if_stuck(self) -> None:
        """Send a batch that is not full if nothing else can give memory back."""
        if self._budget.blocked and not self._writing_bytes:
            self._batcher.flush_if_idle()

    async def _sample(self) -> None:
        """Note, now and then, what everything else is waiting for."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self.loop_lag_s.note(loop.time() - due)
            if self.interrupted and not self._awaits_answer():
                self._stop_sending()
                while self._workers:  # what they hold was never sent
                    self._workers.pop().cancel()
            self._bottleneck.note(
                reader_blocked=self._budget.blocked,
                batches_ready=self._batcher.ready,
                in_flight=self._batcher.in_flight,
                writer_waiting=self._writer.waiting,
                embedding_waits=getattr(self._embedder, "waits_for", "embedding"),
            )

    def _awaits_answer(self) -> bool:
        """Tell whether an answer is on its way to a run that is to end, or may be."""
        may_be = self.sends and not self.sample(0.0).outage
        return may_be or getattr(self._embedder, "expects_answer", True)
