"""Lab 1.5: 100 MB of text through the reading side of the platform, as installed."""

from __future__ import annotations

from pathlib import Path

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
BLOCK = 1 << 20


def hold(path: str) -> tuple[int, int]:
    """Clean and cut a text that is held whole; count chunks and characters."""
    from aip_readers import Cleaner

    text = Cleaner()(Path(path).read_text(encoding="utf-8"))
    chunks = [text[at : at + CHUNK_SIZE] for at in range(0, len(text), CHUNK_SIZE)]
    return len(chunks), sum(map(len, chunks))


def stream(path: str) -> tuple[int, int]:
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
    sizes = form.pick(quick=QUICK_SIZES, whole=SIZES)
    size = sizes[-1]
    with scratch() as folder:
        path, runs = folder / "text", []
        for each in sizes:
            prose(path, size=each)
            runs.append((fresh(hold, str(path)), fresh(stream, str(path))))
        counted, expected = blocks(str(path)), solid_of_file(path)
    held, streamed = runs[-1]
    chunks, characters = streamed.value
    grown = streamed.peak_bytes - runs[0][1].peak_bytes
    claimed = CLAIMED_CHUNKS * size / SIZE
    whole = characters == expected and grown < FLAT_MIB * MIB
    return Finding(
        measured=(
            f"{size / 1e6:.0f} MB: {counted:,} blocks of 1 KB; {chunks:,} chunks at "
            f"words' ends, no character lost; {streamed.grown_bytes / MIB:.1f} MiB "
            f"gained (whole text: {held.grown_bytes / MIB:.0f} MiB)"
        )
        if characters == expected
        else f"{expected - characters:,} characters lost",
        verdict=worst(
            compare(counted, claimed=claimed, tolerance=1e-4),
            "reproduced" if whole else "not reproduced",
        ),
        broken=Way(name="hold the text", code="text = path.read_text(); text[i : j]"),
        right=Way(
            name="stream it",
            code="for chunk in split(open_records(path), size=1024, overlap=0): ...",
        ),
        figures=(
            Figure(name="blocks of 1 KB", value=counted, claimed=claimed),
            Figure(name="chunks of at most 1,024 characters", value=chunks),
            Figure(name="lost characters", value=expected - characters, claimed=0),
            Figure(
                name="growth with ten times the file", value=grown / MIB, unit="MiB"
            ),
            Figure(name="speed", value=size / MIB / streamed.seconds, unit="MiB/s"),
        ),
        charts=(_chart(runs, sizes=sizes),),
    )


def _chart(
    runs: list[tuple[Fresh[tuple[int, int]], Fresh[tuple[int, int]]]],
    *,
    sizes: tuple[int, ...],
) -> Chart:
    names = [f"{size / 1e6:.0f} MB" for size in sizes]
    held, streamed = zip(*runs, strict=True)
    return Chart(
        title="Peak memory of a fresh process",
        x="text",
        y="MiB (VmHWM)",
        series=(
            Series(label="held", xs=names, ys=[h.peak_bytes / MIB for h in held]),
            Series(
                label="streamed", xs=names, ys=[s.peak_bytes / MIB for s in streamed]
            ),
        ),
    )
