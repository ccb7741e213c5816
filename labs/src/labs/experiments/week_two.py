"""Lab 2.5: the whole pipeline: memory against file size, concurrency and batch size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    embedding_server,
    experiment,
    fresh,
    jsonl,
    scratch,
    worst,
)

CONCURRENCY, BATCH = 10, 64
LATENCY_S = 0.02
FLAT_MIB = 10.0
# Claimed: 3.74 to 14.18 MB from 10 to 50 at once, 7.25 to 8.03 MB from 25 to 100.
CLAIMED_PER_CONCURRENCY_MIB, CLAIMED_PER_BATCH_MIB = 14.18 - 3.74, 8.03 - 7.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is varied, and by how much."""

    files: tuple[int, ...]
    held: tuple[int, ...]
    file: int
    concurrency: tuple[int, ...]
    batch: tuple[int, ...]


FULL = Sizes(
    files=(8_000_000, 24_000_000, 72_000_000),
    held=(8_000_000, 24_000_000),
    file=12_000_000,
    concurrency=(10, 20, 30, 40, 50),
    batch=(25, 50, 75, 100),
)
QUICK = Sizes(
    files=(5_000_000, 12_000_000),
    held=(2_000_000, 8_000_000),
    file=4_000_000,
    concurrency=(10, 50),
    batch=(25, 100),
)


def stream(path: str, store: str, url: str, concurrency: int, batch: int) -> int:
    """Ingest with the platform; give the chunks stored."""
    from aip_pipeline import ingest_sync

    report = ingest_sync(
        path,
        store=f"sqlite:///{store}",
        embedder="openai:lab",
        base_url=url,
        concurrency=concurrency,
        batch_size=batch,
    )
    return report.stored


def hold(path: str, store: str, url: str, concurrency: int, batch: int) -> int:
    """Read every text, embed every text, then store everything: a list per step."""
    import json
    import sqlite3

    from aip_pipeline import open_embedder

    texts = [json.loads(line)["text"] for line in Path(path).read_text().splitlines()]
    batches = [texts[at : at + batch] for at in range(0, len(texts), batch)]

    async def embed_all() -> list[bytes]:
        embedder = open_embedder("openai:lab", base_url=url, concurrency=concurrency)
        async with embedder:
            done = await asyncio.gather(*(embedder.embed(each) for each in batches))
        return [vector.tobytes() for vectors in done for vector in vectors]

    rows = list(zip(texts, asyncio.run(embed_all()), strict=True))
    with sqlite3.connect(store) as database:
        database.execute("CREATE TABLE chunk (text TEXT, vector BLOB)")
        database.executemany("INSERT INTO chunk VALUES (?, ?)", rows)
    database.close()
    return len(rows)


@dataclass(frozen=True, slots=True)
class Bench:
    """Run one setting after the other, each in a process and a store of its own."""

    folder: Path
    url: str

    def file(self, size: int) -> str:
        """Give a file of *size* bytes, made once."""
        path = self.folder / f"{size}.jsonl"
        return str(path if path.exists() else jsonl(path, size=size))

    def stream(
        self, size: int, *, concurrency: int = CONCURRENCY, batch: int = BATCH
    ) -> Fresh[int]:
        """Measure the platform."""
        store = str(self.folder / f"{size}-{concurrency}-{batch}.db")
        return fresh(stream, self.file(size), store, self.url, concurrency, batch)

    def hold(self, size: int) -> Fresh[int]:
        """Measure the pipeline that holds everything."""
        store = str(self.folder / f"{size}-held.db")
        return fresh(hold, self.file(size), store, self.url, CONCURRENCY, BATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What was measured: in each series of runs one thing grows.

    Args:
        held: the file, for the pipeline that holds everything.
        files: the file, for the platform.
        at_once: the requests at once.
        batches: the texts in a batch.
    """

    held: list[Fresh[int]]
    files: list[Fresh[int]]
    at_once: list[Fresh[int]]
    batches: list[Fresh[int]]


def measure(sizes: Sizes) -> Runs:
    """Run every setting against one server."""
    with scratch() as folder, embedding_server(latency_s=LATENCY_S) as url:
        bench = Bench(folder, url)
        return Runs(
            held=[bench.hold(size) for size in sizes.held],
            files=[bench.stream(size) for size in sizes.files],
            at_once=[
                bench.stream(sizes.file, concurrency=n) for n in sizes.concurrency
            ],
            batches=[bench.stream(sizes.file, batch=n) for n in sizes.batch],
        )


@experiment(
    "2.5",
    title="Week 2 together: the pipeline's memory against file, concurrency and batch",
    question="What does the memory of the whole pipeline depend on?",
    hypothesis=(
        "Not on the file: every queue is bounded. On what is in flight: requests at "
        "once times texts in a request, up to the byte budget."
    ),
    claim=(
        "memory constant as the file grows; 3.74 to 14.18 MB from 10 to 50 at once; "
        "7.25 to 8.03 MB from 25 to 100 texts a batch"
    ),
    explanation="""
        A stage may only run ahead of the next by what its queue holds, and the queues
        share one budget in bytes. So a file of any length occupies the same memory,
        which depends on the requests in flight and on SQLite's cache. A pipeline that
        finishes each step before the next holds every text and every vector.""",
    production="""
        aip ingest --max-memory bounds text and vectors in flight. Raise --concurrency
        for a slow server, not to use memory; a container's limit can be set once, from
        one measured run, whatever the input.""",
)
def lab(form: Form) -> Finding:
    """Measure fresh processes that ingest over HTTP from a server beside them."""
    sizes = form.pick(quick=QUICK, whole=FULL)
    runs = measure(sizes)
    flat, steep = growth_mib(runs.files), growth_mib(runs.held)
    wide, large = growth_mib(runs.at_once), growth_mib(runs.batches)
    more, held_more = _mib(sizes.files), _mib(sizes.held)
    return Finding(
        measured=(
            f"{flat:+.1f} MiB for {more:.0f} MiB more of file (held: {steep:+.0f} for "
            f"{held_more:.0f}); {wide:+.1f} MiB from {sizes.concurrency[0]} to "
            f"{sizes.concurrency[-1]} at once; {large:+.1f} from {sizes.batch[0]} to "
            f"{sizes.batch[-1]} texts a batch"
        ),
        verdict=worst(
            "better" if flat < FLAT_MIB else "not reproduced",
            "better" if steep > held_more else "not reproduced",
            compare(
                wide, claimed=CLAIMED_PER_CONCURRENCY_MIB, tolerance=0.5, good="lower"
            ),
        ),
        broken=Way(name="a step after the other", code="vectors = await gather(*all)"),
        right=Way(name="bounded stages", code="ingest(path, max_memory_bytes=8 * MIB)"),
        figures=(*_growths(runs), *_figures(sizes, runs)),
        charts=_charts(sizes, runs),
        notes=(
            "equal runs differ by some MiB: growth with the batch size is not judged",
        ),
    )


def growth_mib(runs: Sequence[Fresh[int]]) -> float:
    """Give how much more the last run took than the first, in MiB."""
    return (runs[-1].peak_bytes - runs[0].peak_bytes) / MIB


def _mib(sizes: Sequence[int]) -> float:
    return (sizes[-1] - sizes[0]) / MIB


def _mb(sizes: Sequence[int]) -> list[float]:
    return [size / 1e6 for size in sizes]


def _growths(runs: Runs) -> tuple[Figure, ...]:
    """Give the figures that the claim speaks of."""
    return (
        Figure(
            name="more at once: growth",
            value=growth_mib(runs.at_once),
            unit="MiB",
            claimed=CLAIMED_PER_CONCURRENCY_MIB,
        ),
        Figure(
            name="larger batches: growth",
            value=growth_mib(runs.batches),
            unit="MiB",
            claimed=CLAIMED_PER_BATCH_MIB,
        ),
    )


def _figures(sizes: Sizes, runs: Runs) -> Iterator[Figure]:
    """Give every series, run by run."""
    files, held = sizes.files, sizes.held
    yield from _memory_and_speed("file of {:.0f} MB", _mb(files), runs.files, per=files)
    yield from _memory_and_speed(
        "held, file of {:.0f} MB", _mb(held), runs.held, per=held
    )
    yield from _memory_and_speed(
        "{} at once", sizes.concurrency, runs.at_once, per=sizes.file
    )
    yield from _memory_and_speed(
        "{} texts a batch", sizes.batch, runs.batches, per=sizes.file
    )


def _memory_and_speed(
    name: str,
    varied: Sequence[float],
    runs: Sequence[Fresh[int]],
    *,
    per: int | Sequence[int],
) -> Iterator[Figure]:
    """Give memory and speed of each run; *per* is the size of its file in bytes."""
    sizes = [per] * len(runs) if isinstance(per, int) else per
    for value, run, size in zip(varied, runs, sizes, strict=True):
        what = name.format(value)
        yield Figure(name=f"{what}: peak", value=run.peak_bytes / MIB, unit="MiB")
        speed = size / MIB / run.seconds
        yield Figure(name=f"{what}: speed", value=speed, unit="MiB/s")


def _charts(sizes: Sizes, runs: Runs) -> tuple[Chart, ...]:
    return (
        _chart(
            "file, MB",
            _series("bounded stages", _mb(sizes.files), runs.files),
            _series("a step after the other", _mb(sizes.held), runs.held),
        ),
        _chart("requests at once", _series("peak", sizes.concurrency, runs.at_once)),
        _chart("texts in a batch", _series("peak", sizes.batch, runs.batches)),
    )


def _series(label: str, xs: Sequence[float], runs: Sequence[Fresh[int]]) -> Series:
    return Series(label=label, xs=xs, ys=[run.peak_bytes / MIB for run in runs])


def _chart(x: str, *series: Series) -> Chart:
    return Chart(
        title="Peak memory of an ingest over HTTP",
        x=x,
        y="MiB (VmHWM of a fresh process)",
        kind="line",
        series=series,
    )
