"""The record against a mirror: each disagreement found, named and mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from aip_pipeline._errors import MirrorError
from aip_pipeline._mirroring import Feeder
from aip_pipeline._pruning import MAX_PRUNED_SHARE
from aip_pipeline._waiting import off_loop
from aip_pipeline.mirrors import Mirror, MirrorRow
from aip_pipeline.mirrors._row import difference, row_of
from aip_pipeline.stores import Fault, Ledger, Live, Store


class MirrorCheck:
    """Compare each row that a mirror holds with the one that it should hold.

    First the mirror lists its ids, which the disk keeps; then each chunk's row is
    looked up, page by page; what is listed and was not looked up is too much.

    Args:
        ledger: of the mirror, in a record that agrees with itself.
        mirror: opened here.
        repair: mend the mirror from the record; nothing is embedded.
        yes: delete from it also what looks like a mistake.
    """

    def __init__(
        self, ledger: Ledger, mirror: Mirror, *, repair: bool, yes: bool
    ) -> None:
        self._ledger = ledger
        self._mirror = mirror
        self._repair = repair
        self._yes = yes
        self._feeder = Feeder(ledger, mirror)

    async def faults(self) -> AsyncGenerator[Fault, None]:
        """Yield each fault, mended already where that was asked for.

        Raises:
            MirrorError: the mirror does not answer, or takes nothing at all.
        """
        async with self._mirror:
            async for ids in self._mirror.ids():
                await off_loop(self._ledger.note_listed, ids)
            listed = await off_loop(self._ledger.count_listed)
            await off_loop(self._ledger.choose_all)
            pages = self._ledger.pages()
            while page := await off_loop(next, pages, None):
                for fault in await self._page(page):
                    yield fault
            async for fault in self._extra(listed):
                yield fault

    async def _page(self, page: Sequence[Live]) -> list[Fault]:
        """Compare a page; send again what is missing or wrong."""
        ids = [live.entry.id for live in page]
        there = await off_loop(self._ledger.take_listed, ids)
        asked = [name for name in ids if name in there]
        held = {row.id: row for row in await self._mirror.fetch(asked)}
        wrong = await off_loop(self._compared, page, held)
        refused = await self._mend(page, [one[0] for one in wrong])
        return [self._fault(*one, refused=refused) for one in wrong]

    def _compared(
        self, page: Sequence[Live], held: Mapping[str, MirrorRow]
    ) -> list[tuple[Live, str, str]]:
        """Return what of a page is not held as it should be, and how."""
        limit = self._mirror.max_metadata_bytes
        wrong: list[tuple[Live, str, str]] = []
        for live in page:
            wanted = row_of(live, max_metadata_bytes=limit)
            found = held.get(wanted.id)
            if found is None:
                wrong.append((live, "mirror-missing", "the mirror does not hold it"))
            elif differs := difference(wanted, found):
                wrong.append((live, *differs))
        return wrong

    async def _mend(self, page: Sequence[Live], wrong: Sequence[Live]) -> set[str]:
        """Send what is wrong; note that the mirror holds the rest."""
        if not self._repair:
            return set()
        ids = {live.entry.id for live in wrong}
        sound = [live for live in page if live.entry.id not in ids]
        await self._feeder.adopt(sound)
        return await self._feeder.tell(wrong, known=False) if wrong else set()

    def _fault(self, live: Live, check: str, what: str, *, refused: set[str]) -> Fault:
        entry = live.entry
        where = f"{entry.source}, row {entry.id} at byte {entry.start}"
        if entry.id in refused:
            what = f"{what}, and refuses it ({self._feeder.refusal})"
        mended = self._repair and entry.id not in refused
        return Fault(check, where, what, "repair", mended)

    async def _extra(self, listed: int) -> AsyncGenerator[Fault, None]:
        """Name what the record does not hold; delete it, unless it is too much."""
        extra = await off_loop(self._ledger.count_listed)
        what = "the record does not hold it"
        delete = self._repair
        if delete and extra > MAX_PRUNED_SHARE * listed and not self._yes:
            delete = False
            what += (
                f", nor {extra:,} of the {listed:,} rows there: is it this record's "
                "mirror? If so, add --yes"
            )
        last = ""
        while ids := await off_loop(self._ledger.listed, last):
            last = ids[-1]
            if delete:
                await self._feeder.drop(ids)
            for name in ids:
                where = f"{self._mirror.name}, row {name}"
                yield Fault("mirror-extra", where, what, "repair", delete)
        if self._repair and (delete or not extra):
            await off_loop(self._ledger.forget_retired)


def compared(
    record: Store, mirror: Mirror, *, repair: bool, yes: bool
) -> Iterator[Fault]:
    """Yield what `MirrorCheck` finds, from where no event loop runs.

    Raises:
        MirrorError: the mirror could not be compared to the end.
    """
    ledger = record.ledger(mirror.name)
    faults = MirrorCheck(ledger, mirror, repair=repair, yes=yes).faults()

    async def following() -> Fault | None:
        return await anext(faults, None)

    with asyncio.Runner() as runner:
        try:
            while fault := runner.run(following()):
                yield fault
        except MirrorError as error:
            raise MirrorError(
                f"the mirror was not compared to the end: {error}; then verify again"
            ) from error
        finally:
            runner.run(faults.aclose())
