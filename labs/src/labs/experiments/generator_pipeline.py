"""Lab 1.4: read, clean, embed: a list per step, or a chain of generators."""

from __future__ import annotations

from array import array

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

# The file of lab 1.3: lists of its pieces take what the claim says.
SIZE = 100_100_000
SIZES, QUICK_SIZES = (SIZE // 10, SIZE), (SIZE // 100, SIZE // 10)
CLAIMED_MIB, CLAIMED_KIB = 196.39, 45.0
CLAIMED_RATIO = 4_800
CHUNK_SIZE = 1024
DIMENSIONS = 4


def embed(text: str) -> array[float]:
    """Stand in for a model: a small vector that depends on the text."""
    return array("f", [float(len(text))] * DIMENSIONS)


def in_lists(path: str) -> int:
    """Make a list of every step, and go through it for the next."""
    from aip_readers import clean_chunks, read_chunks

    with read_chunks(path, chunk_size=CHUNK_SIZE) as chunks:
        pieces = list(chunks)
    cleaned = list(clean_chunks(pieces))
    vectors = [embed(piece) for piece in cleaned]
    return len(vectors)


def in_a_chain(path: str) -> int:
    """Pull one piece after the other through every step."""
    from aip_readers import clean_chunks, read_chunks

    with read_chunks(path, chunk_size=CHUNK_SIZE) as pieces:
        return sum(1 for _ in map(embed, clean_chunks(pieces)))


@experiment(
    "1.4",
    title="A list per step against a chain of generators",
    question="What do three steps cost when each makes a list for the next?",
    hypothesis=(
        "The lists of all steps are alive at once, so each step adds the whole text "
        "again. In a chain one piece is alive, whatever the number of steps."
    ),
    claim=(
        "read, clean, embed: 196.39 MB in lists, 45 KB in a chain; 4,800 times less "
        "(tracemalloc)"
    ),
    explanation="""
        A list must hold its last item before the next step sees its first. A generator
        hands each item on and forgets it, so the chain holds one piece per step. The
        lists grow with the text, the chain does not: the ratio is a matter of size.""",
    production="""
        clean_chunks and split of aip_readers take an iterable and return an iterator;
        the pipeline pulls them through queues that are bounded in bytes. One list() in
        the middle, for its length or to sort it, undoes all of that.""",
)
def lab(form: Form) -> Finding:
    """Measure both ways at two sizes."""
    sizes = form.pick(quick=QUICK_SIZES, whole=SIZES)
    with scratch() as folder:
        found = peaks(folder, sizes=sizes, broken=in_lists, right=in_a_chain)
    small, large = found
    share = large.size / SIZE
    names = {"broken": "in lists", "right": "in a chain"}
    return Finding(
        measured=(
            f"{large.name} of text: {large.broken / MIB:.2f} MiB in lists, "
            f"{large.right / KIB:.1f} KiB in a chain; {large.ratio:,.0f} times less "
            f"({small.ratio:,.0f} at a tenth of the size)"
        ),
        verdict=_verdict(small, large),
        broken=Way(
            name="a list per step", code="cleaned = list(clean_chunks(list(chunks)))"
        ),
        right=Way(name="a chain", code="map(embed, clean_chunks(read_chunks(path)))"),
        figures=peaks_figures(
            found,
            **names,
            claimed=(CLAIMED_MIB * share, CLAIMED_KIB, CLAIMED_RATIO * share),
        ),
        charts=(
            peaks_chart(found, title="Peak memory of read, clean, embed", **names),
        ),
    )


def _verdict(small: Peaks, large: Peaks) -> Verdict:
    share = large.size / SIZE
    mib, ratio = CLAIMED_MIB * share, CLAIMED_RATIO * share
    flat = large.right <= 1.1 * small.right
    return worst(
        compare(large.broken / MIB, claimed=mib, tolerance=0.1),
        compare(large.ratio, claimed=ratio, tolerance=0.1, good="higher"),
        "better" if flat else "not reproduced",
    )
