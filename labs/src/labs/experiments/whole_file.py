"""Lab 1.3: a file read at once, and in chunks of 1 KB."""

from __future__ import annotations

from pathlib import Path

from labs import (
    KIB,
    MIB,
    Finding,
    Form,
    Peaks,
    Verdict,
    Way,
    compare,
    experiment,
    peaks,
    peaks_chart,
    peaks_figures,
    scratch,
    worst,
)

# 97,754 chunks of 1 KB: the file that the claims of labs 1.3 and 1.5 speak of.
SIZE = 100_100_000
SIZES, QUICK_SIZES = (SIZE // 10, SIZE), (SIZE // 100, SIZE // 10)
CLAIMED_MIB = 95.47
CLAIMED_RATIO = 13_000
CLAIMED_KIB = 7.4
CHUNK_SIZE = 1024
# By so much the peak of 6 KiB differs from run to run of the same size.
NOISE_BYTES = 2 * KIB


def at_once(path: str) -> int:
    """Read the whole file, then count its bytes."""
    return len(Path(path).read_bytes())


def in_chunks(path: str) -> int:
    """Count the bytes of the file, one chunk of 1 KB at a time."""
    from aip_readers import FileChunkIterator

    with FileChunkIterator(path, chunk_size=CHUNK_SIZE) as chunks:
        return sum(map(len, chunks))


@experiment(
    "1.3",
    title="A file read at once, and in chunks of 1 KB",
    question="How much memory does reading a file need?",
    hypothesis=(
        "Read at once, as much as the file is long; in chunks, one chunk and a "
        "buffer, however long it is. So the ratio is no constant: it is the size."
    ),
    claim=(
        "a 100 MB file: 95.47 MB at once, 7.4 KB in chunks of 1 KB; 13,000 times less "
        "(tracemalloc)"
    ),
    explanation="""
        read() must return one object that holds everything. An iterator of chunks
        returns one chunk, and its memory is free again when the next is asked for. Ten
        times the file is ten times the ratio, so the figure to trust is the absolute
        peak in chunks, which does not move.""",
    production="""
        FileChunkIterator is the lowest layer of aip_readers: everything above it,
        lines, JSON, chunks with spans, holds a bounded piece too. Its default is
        64 KiB, where a call no longer costs much; 1 KB is for this comparison.""",
)
def lab(form: Form) -> Finding:
    """Measure both ways at two sizes."""
    sizes = form.pick(quick=QUICK_SIZES, whole=SIZES)
    with scratch() as folder:
        found = peaks(folder, sizes=sizes, broken=at_once, right=in_chunks)
    small, large = found
    share = large.size / SIZE
    names = {"broken": "at once", "right": "in chunks"}
    return Finding(
        measured=(
            f"{large.name}: {large.broken / MIB:.2f} MiB at once, "
            f"{large.right / KIB:.1f} KiB in chunks; {large.ratio:,.0f} times less "
            f"({small.ratio:,.0f} at a tenth of the size)"
        ),
        verdict=_verdict(small, large),
        broken=Way(name="read at once", code="data = open(path, 'rb').read()"),
        right=Way(
            name="one chunk at a time",
            code="for chunk in FileChunkIterator(path, chunk_size=1024): ...",
        ),
        figures=peaks_figures(
            found,
            **names,
            claimed=(CLAIMED_MIB * share, CLAIMED_KIB, CLAIMED_RATIO * share),
        ),
        charts=(peaks_chart(found, title="Peak memory to read a file", **names),),
    )


def _verdict(small: Peaks, large: Peaks) -> Verdict:
    share = large.size / SIZE
    mib, ratio = CLAIMED_MIB * share, CLAIMED_RATIO * share
    flat = large.right <= 1.1 * small.right + NOISE_BYTES
    return worst(
        compare(large.broken / MIB, claimed=mib, tolerance=0.02),
        compare(large.ratio, claimed=ratio, tolerance=0.25, good="higher"),
        "better" if flat else "not reproduced",
    )
