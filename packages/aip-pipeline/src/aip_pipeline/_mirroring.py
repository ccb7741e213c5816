"""A mirror, brought up to the record: what it lacks is sent, what is retired goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final

from aip_pipeline._errors import MirrorError, MirrorRefused, PruneRefused, StoreError
from aip_pipeline._report import IngestReport
from aip_pipeline._waiting import first_error, off_loop
from aip_pipeline.mirrors import Mirror, MirrorRow, open_mirror
from aip_pipeline.mirrors._row import digest_of, row_of
from aip_pipeline.stores import Ledger, Live, Store, open_store, opened

# Refused before any was accepted: then it is not the rows, but how the mirror was made.
HOPELESS_REFUSALS: Final = 16
ASKED_EVERY_S: Final = 0.05
MIRROR_IS_DOWN: Final = "the mirror, which is down"


class Feeder:
    """Tell a mirror what it should hold, and the ledger what it holds.

    Every row is noted as doubtful, sent, and then acknowledged. Holds one page.

    Attributes:
        upserted: rows that the mirror has accepted.
        refused: rows that it never will.
        doubted: refused rows that are sent again, as nothing was ever accepted.
        refusal: why it refused the last of them.
    """

    def __init__(self, ledger: Ledger, mirror: Mirror) -> None:
        self._ledger = ledger
        self._mirror = mirror
        self.upserted = 0
        self.refused = 0
        self.doubted = 0
        self.refusal: MirrorRefused | None = None

    async def tell(self, page: Sequence[Live], *, known: bool = True) -> set[str]:
        """Send the rows of a page; return the ids of those that were refused.

        Args:
            page: chunks of the record.
            known: leave out what the ledger knows to be there, as it is.

        Raises:
            MirrorError: the mirror does not answer, or takes nothing at all.
        """
        rows, noted = await off_loop(self._made, page)
        ids = [row.id for row in rows]
        held = await off_loop(self._ledger.acknowledged, ids) if known else {}
        fresh = {name: chunk for name, chunk, at in noted if held.get(name) != at}
        await off_loop(self._ledger.doubt, fresh.items())
        refused: dict[str, str] = {}
        if fresh:
            await self._upsert([row for row in rows if row.id in fresh], refused)
        await self._note(noted, refused)
        return set(refused)

    async def _note(
        self, noted: list[tuple[str, int, bytes]], refused: Mapping[str, str]
    ) -> None:
        """Note what was sent; what was refused is not sent again as it is.

        A mirror that never accepted any row is likelier at fault than the rows.
        """
        sound = (
            not refused or self.upserted or await off_loop(self._ledger.accepted_any)
        )
        if not sound:
            self.doubted += len(refused)
            noted, refused = [one for one in noted if one[0] not in refused], {}
        await off_loop(self._ledger.acknowledge, noted, refused)

    async def adopt(self, page: Sequence[Live]) -> None:
        """Note that the mirror was seen to hold the rows of a page."""
        _, noted = await off_loop(self._made, page)
        # It is not refused any more, whatever was noted before.
        await off_loop(self._ledger.doubt, [one[:2] for one in noted])
        await off_loop(self._ledger.acknowledge, noted)

    async def drop(self, ids: Sequence[str]) -> None:
        """Have the mirror forget rows that no chunk is of.

        Raises:
            MirrorError: the mirror does not answer.
        """
        await off_loop(self._ledger.doubt, [(name, None) for name in ids])
        await self._mirror.delete(ids)
        await off_loop(self._ledger.forget, ids)

    def _made(
        self, page: Sequence[Live]
    ) -> tuple[list[MirrorRow], list[tuple[str, int, bytes]]]:
        """Make the rows of a page; and each one's id, chunk and digest."""
        limit = self._mirror.max_metadata_bytes
        rows = [row_of(live, max_metadata_bytes=limit) for live in page]
        pairs = zip(rows, page, strict=True)
        return rows, [(row.id, live.chunk, digest_of(row)) for row, live in pairs]

    async def _upsert(self, rows: list[MirrorRow], refused: dict[str, str]) -> None:
        """Send rows; those that are refused are halved until the bad one is alone."""
        try:
            await self._mirror.upsert(rows)
        except MirrorRefused as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                await self._upsert(rows[:middle], refused)
                await self._upsert(rows[middle:], refused)
                return
            self.refused += 1
            self.refusal = error
            refused[rows[0].id] = str(error)
            if not self.upserted and self.refused >= HOPELESS_REFUSALS:
                raise
        else:
            self.upserted += len(rows)


class Mirroring:
    """Bring the mirror of a run up to the record, once the run has stored all.

    Args:
        store: URL of the record.
        mirror: the mirror, where it is an object.
        spec: what names it, where it is not; None has none.

    Raises:
        ConfigError: there is no such mirror, or no key for it.

    Attributes:
        active: whether it is under way.
    """

    def __init__(self, store: str, mirror: Mirror | None, spec: str | None) -> None:
        self._store = store
        self._mirror = mirror
        if mirror is None and spec is not None:
            self._mirror = open_mirror(spec)
        self.active = False

    @property
    def waits_for(self) -> str:
        """What the run waits for while this is under way; empty while it is not."""
        if not self.active:
            return ""
        down = getattr(self._mirror, "outage", False)  # an HTTP mirror may tell
        return MIRROR_IS_DOWN if down else "the mirror"

    async def run_after(
        self,
        first: Exception | None,
        report: IngestReport,
        *,
        stopped: Callable[[], bool],
    ) -> None:
        """Run, then raise what went wrong before, and that the mirror is behind."""
        try:
            await self.run(report, stopped=stopped)
        except MirrorError as behind:
            if first is None:
                raise
            if isinstance(first, PruneRefused):
                raise PruneRefused(f"{first}; besides, {behind}") from behind
            first.add_note(str(behind))  # it is the caller's own, of any kind
        if first is not None:
            raise first

    async def run(self, report: IngestReport, *, stopped: Callable[[], bool]) -> None:
        """Send what the mirror lacks, then delete from it what the record forgot.

        A mirror that lacks nothing is not asked anything. A run that is killed is
        gone on from.

        Args:
            report: told how many rows were sent, and how many are left.
            stopped: asked before every page whether to leave the rest to a later run.

        Raises:
            MirrorError: the mirror is behind; says why, and by how much, unless another
                run is writing.
            StoreError: a chunk has no vector.
        """
        if self._mirror is None:
            return
        self.active = True
        try:
            async with opened(open_store(self._store, create=False)) as record:
                ledger = await self._ledger(record, self._mirror.name)
                await self._feed(ledger, self._mirror, report, stopped=stopped)
        finally:
            self.active = False

    async def _ledger(self, record: Store, name: str) -> Ledger:
        """Take the record's lock, which the writer of the run gave back."""
        try:
            return await off_loop(record.ledger, name)
        except StoreError as error:
            raise MirrorError(
                "the mirror is behind, though what was read is stored in "
                f"{self._store}: {error}; run the same command again to go on"
            ) from error

    async def _feed(
        self,
        ledger: Ledger,
        mirror: Mirror,
        report: IngestReport,
        *,
        stopped: Callable[[], bool],
    ) -> None:
        why: MirrorError | None = None
        report.mirror_behind = await off_loop(behind, ledger)
        if report.mirror_behind and not stopped():
            feeder = Feeder(ledger, mirror)
            try:
                async with mirror:
                    work = _bring_up(ledger, feeder, report, stopped=stopped)
                    await _ended(work, mirror, stopped=stopped)
                why = feeder.refusal if feeder.doubted else None
            except MirrorError as error:
                why = error
            finally:
                report.mirrored = feeder.upserted
            report.mirror_behind = await off_loop(behind, ledger)
        refused = await off_loop(ledger.refused)
        report.mirror_behind += refused[0] if refused else 0
        if why is not None:
            raise self._is_behind(report.mirror_behind, why) from why
        if refused is not None:
            raise self._refuses(*refused)

    def _refuses(self, count: int, name: str, source: str, why: str) -> MirrorRefused:
        rows = f"{count:,} row{'' if count == 1 else 's'}"
        return MirrorRefused(
            f"the mirror is behind by {rows} that it refused, though what was read is "
            f"stored in {self._store}: the first is {name} of {source}: {why}; `aip "
            "verify --repair` with the mirror sends them again"
        )

    def _is_behind(self, count: int, why: MirrorError) -> MirrorError:
        rows = f"{count:,} row{'' if count == 1 else 's'}"
        return MirrorError(
            f"the mirror is behind by {rows}, though what was read is stored in "
            f"{self._store}: {why}; run the same command again to go on"
        )


async def _ended(
    work: Coroutine[None, None, None], mirror: Mirror, *, stopped: Callable[[], bool]
) -> None:
    """Feed to the end; once stopped, only while an answer may be on its way.

    To cancel loses nothing: what may have been sent is noted as doubtful before.
    """
    try:
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(work)
            while not feeding.done():
                await asyncio.wait([feeding], timeout=ASKED_EVERY_S)
                if stopped() and not getattr(mirror, "expects_answer", True):
                    feeding.cancel()
                    break
    except BaseExceptionGroup as failed:
        raise first_error(failed) from failed


async def _bring_up(
    ledger: Ledger,
    feeder: Feeder,
    report: IngestReport,
    *,
    stopped: Callable[[], bool],
) -> None:
    """Send every row that is missing before any is deleted.

    So the mirror holds a source's new version before it loses the old one.
    """
    pages = ledger.pages()
    while not stopped() and (page := await off_loop(next, pages, None)):
        await feeder.tell(page)
        report.mirrored = feeder.upserted
        report.mirror_behind = max(0, report.mirror_behind - len(page))
    while not stopped() and (ids := await off_loop(ledger.retired)):
        await feeder.drop(ids)


def behind(ledger: Ledger) -> int:
    """Choose what the mirror lacks; count it, or what it should lose, if that is more.

    A row that was replaced may be both, so they are not added.
    """
    return max(ledger.choose_missing(), ledger.count_retired())
