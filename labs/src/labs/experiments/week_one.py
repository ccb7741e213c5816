"""Lab 1.5: 100 MB of text through the reading side of the platform, as installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from labs import (
    MIB,
    Chart,
    Figure,
    Finding,
    Form,
    Fresh,
    Series,
    Way,
    compare,
    experiment,
    fresh,
    prose,
    scratch,
    worst,
)

SIZE = 100_100_000
SIZES, QUICK_SIZES = (SIZE // 10, SIZE), (SIZE // 100, SIZE // 10)
CLAIMED_CHUNKS = 97_754
CHUNK_SIZE = 1024
FLAT_MIB = 2.0

Counted: TypeAlias = tuple[int, int]
"""Chunks, and the characters in them."""


def hold(path: str) -> Counted:
    """Clean and cut a text that is held whole; count chunks and characters."""
    from aip_readers import Cleaner

    text = Cleaner()(Path(path).read_text(encoding="utf-8"))
    chunks = [text[at : at + CHUNK_SIZE] for at in range(0, len(text), CHUNK_SIZE)]
    return len(chunks), sum(map(len, chunks))


def stream(path: str) -> Counted:
    """Read, clean and split with the platform; count chunks and solid characters."""
    from aip_readers import open_records, split

    chunks = characters = 0
    with open_records(path) as records:
        for chunk in split(records, size=CHUNK_SIZE, overlap=0):
            chunks += 1
            characters += solid(chunk.text)
    return chunks, characters


def blocks(path: str) -> int:
    """Count the blocks of 1 KB, as the claim does."""
    from aip_readers import FileChunkIterator

    with FileChunkIterator(path, chunk_size=CHUNK_SIZE) as chunks:
        return sum(1 for _ in chunks)


def solid(text: str) -> int:
    """Count the characters that are not space: what a splitter must never lose."""
    return sum(map(len, text.split()))


def solid_of_file(path: Path) -> int:
    """Count the same in the file itself, a line at a time, without the platform."""
    with path.open(encoding="utf-8") as lines:
        return sum(map(solid, lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Texts of two sizes, each read in both ways, and what is in the larger one.

    Args:
        sizes: of the texts, in bytes.
        held: the runs that hold the text.
        streamed: the runs of the platform.
        blocks: of 1 KB in the larger text.
        solid: its characters that are not space, counted without the platform.
    """

    sizes: tuple[int, ...]
    held: list[Fresh[Counted]]
    streamed: list[Fresh[Counted]]
    blocks: int
    solid: int

    @property
    def claimed_blocks(self) -> float:
        """What the claim comes to at this size."""
        return CLAIMED_CHUNKS * self.sizes[-1] / SIZE

    @property
    def lost(self) -> int:
        """Solid characters that the platform's chunks do not have."""
        _, characters = self.streamed[-1].value
        return self.solid - characters

    @property
    def grown_bytes(self) -> int:
        """How much more memory the platform takes for the larger text."""
        return self.streamed[-1].peak_bytes - self.streamed[0].peak_bytes


def measure(sizes: tuple[int, ...]) -> Measured:
    """Read texts of these sizes, each way in a fresh process."""
    held, streamed = [], []
    with scratch() as folder:
        path = folder / "text"
        for size in sizes:
            prose(path, size=size)
            held.append(fresh(hold, str(path)))
            streamed.append(fresh(stream, str(path)))
        return Measured(
            sizes=sizes,
            held=held,
            streamed=streamed,
            blocks=blocks(str(path)),
            solid=solid_of_file(path),
        )


@experiment(
    "1.5",
    title="Week 1 together: 100 MB through the installed packages",
    question="Does the whole reading side hold its memory, and every character?",
    hypothesis=(
        "Reader, cleaner and splitter are iterators, so together they hold a block "
        "and a chunk; nothing between them adds the file up."
    ),
    claim="100 MB: 97,754 chunks of 1 KB, in constant memory",
    explanation="""
        Blocks of 1 KB are the file's size over 1,024, rounded up. The splitter makes
        more chunks of the same size: it ends them where a sentence or a word ends, not
        in the middle. Memory is that of a block, a record and a chunk.""",
    production="""
        This is what aip ingest does before it embeds. The check at the end, that no
        solid character is lost, is a law of the splitter, tested with generated texts
        in aip_readers.""",
)
def lab(form: Form) -> Finding:
    """Count chunks, compare the characters, and measure memory at two sizes."""
    found = measure(form.pick(quick=QUICK_SIZES, whole=SIZES))
    flat = found.grown_bytes < FLAT_MIB * MIB
    return Finding(
        measured=_summary(found),
        verdict=worst(
            compare(found.blocks, claimed=found.claimed_blocks, tolerance=1e-4),
            "reproduced" if flat and not found.lost else "not reproduced",
        ),
        broken=Way(name="hold the text", code="text = path.read_text(); text[i : j]"),
        right=Way(
            name="stream it",
            code="for chunk in split(open_records(path), size=1024, overlap=0): ...",
        ),
        figures=_figures(found),
        charts=(_chart(found),),
    )


def _summary(found: Measured) -> str:
    if found.lost:
        return f"{found.lost:,} characters lost"
    held, streamed = found.held[-1], found.streamed[-1]
    chunks, _ = streamed.value
    return (
        f"{found.sizes[-1] / 1e6:.0f} MB: {found.blocks:,} blocks of 1 KB; {chunks:,} "
        "chunks at words' ends, no character lost; "
        f"{streamed.grown_bytes / MIB:.1f} MiB gained "
        f"(whole text: {held.grown_bytes / MIB:.0f} MiB)"
    )


def _figures(found: Measured) -> tuple[Figure, ...]:
    chunks, _ = found.streamed[-1].value
    grown_mib = found.grown_bytes / MIB
    speed = found.sizes[-1] / MIB / found.streamed[-1].seconds
    return (
        Figure(name="blocks of 1 KB", value=found.blocks, claimed=found.claimed_blocks),
        Figure(name="chunks of at most 1,024 characters", value=chunks),
        Figure(name="lost characters", value=found.lost, claimed=0),
        Figure(name="growth with ten times the file", value=grown_mib, unit="MiB"),
        Figure(name="speed", value=speed, unit="MiB/s"),
    )


def _chart(found: Measured) -> Chart:
    names = [f"{size / 1e6:.0f} MB" for size in found.sizes]
    held = [run.peak_bytes / MIB for run in found.held]
    streamed = [run.peak_bytes / MIB for run in found.streamed]
    return Chart(
        title="Peak memory of a fresh process",
        x="text",
        y="MiB (VmHWM)",
        series=(
            Series(label="held", xs=names, ys=held),
            Series(label="streamed", xs=names, ys=streamed),
        ),
    )
