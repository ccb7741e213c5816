"""Lab 4.3: a loop that keeps its appointments while a processor is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import mean, median

from labs import (
    Chart,
    Figure,
    Finding,
    Form,
    Series,
    Way,
    compare,
    experiment,
    loop_lag,
    prose,
    scratch,
)

# About half a second of splitting, which is what the claim's loop was held for.
SIZE, QUICK_SIZE = 25_000_000, 5_000_000
CLAIMED_HELD_MS, CLAIMED_OFFLOADED_MS = 545.0, 2.58
NAMES = "on the loop", "on a thread", "in a process", "the whole of ingest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """How late the loop's ticks came, in milliseconds."""

    mean_ms: float
    median_ms: float
    worst_ms: float


def cut(path: str) -> int:
    """Split a text: pure Python, which holds the GIL while it runs."""
    from aip_readers import open_records, split

    with open_records(path) as records:
        return sum(1 for _ in split(records, size=1000, overlap=100))


async def held(path: str) -> int:
    """Split on the loop itself."""
    return cut(path)


async def ingested(path: str) -> int:
    """Read, split, embed and store with the platform, to the end."""
    from aip_pipeline import ingest

    report = await ingest(path, store=f"sqlite:///{path}.db")
    return report.stored


async def delay(work: Awaitable[object]) -> Delay:
    """Measure the loop's ticks while *work* goes on."""
    _, late = await loop_lag(work)
    milliseconds = [1e3 * each for each in late]
    return Delay(
        mean_ms=mean(milliseconds),
        median_ms=median(milliseconds),
        worst_ms=max(milliseconds),
    )


async def measure(path: str, pool: ProcessPoolExecutor) -> list[Delay]:
    """Measure every way in one loop, the platform after a first run of its own."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool, cut, path)
    on_loop = await delay(held(path))
    on_thread = await delay(asyncio.to_thread(cut, path))
    in_process = await delay(loop.run_in_executor(pool, cut, path))
    with scratch() as folder:
        await ingested(str(prose(folder / "warm", size=10_000)))  # imports
    return [on_loop, on_thread, in_process, await delay(ingested(path))]


@experiment(
    "4.3",
    title="A loop that keeps its appointments while a processor is busy",
    question="How late are the other tasks while one of them computes?",
    hypothesis=(
        "On the loop: as late as the computation is long. On a thread: by the GIL's "
        "switch interval of 5 ms, or more. In a process: not at all."
    ),
    claim="545 ms of average delay on the loop, 2.58 ms offloaded",
    explanation="""
        A thread that waits for the GIL asks for it after 5 ms
        (sys.getswitchinterval). But each time the other thread lets go of it by itself,
        for a read from the page cache, and takes it again at once, those 5 ms start
        anew: a thread that reads and computes in turn can starve the loop for
        hundreds of milliseconds, which the second row shows. A process has a GIL of its
        own, and its answer comes through a pipe as any other event.""",
    production="""
        The pipeline reads, splits, embeds and commits on threads, a page at a time, so
        that each thread stops and waits before it can starve the loop: the last row
        measures that while a whole ingest runs. A service can ingest in the same loop
        that answers its requests.""",
)
def lab(form: Form) -> Finding:
    """Split on the loop, on a thread and in a process; then run a whole ingest."""
    size = form.pick(quick=QUICK_SIZE, whole=SIZE)
    with scratch() as folder, ProcessPoolExecutor(1) as pool:
        path = str(prose(folder / "text", size=size))
        delays = asyncio.run(measure(path, pool))
    on_loop, on_thread, in_process, ingest = delays
    ratio = on_loop.mean_ms / in_process.mean_ms
    claimed = CLAIMED_HELD_MS / CLAIMED_OFFLOADED_MS
    share = size / SIZE
    free = ingest.mean_ms < on_loop.mean_ms / 10
    said = compare(ratio, claimed=claimed * share, tolerance=0.75, good="higher")
    return Finding(
        measured=(
            f"average delay {on_loop.mean_ms:.0f} ms on the loop, "
            f"{on_thread.mean_ms:.1f} on a thread, {in_process.mean_ms:.1f} in a "
            f"process; {ingest.mean_ms:.1f} ms while a whole ingest runs"
        ),
        verdict=said if free else "not reproduced",
        broken=Way(name="compute on the loop", code="chunks = split(text)"),
        right=Way(name="offload", code="chunks = await to_thread(split, text)"),
        figures=tuple(_figures(delays, share=share)),
        charts=(_chart(delays),),
    )


def _figures(delays: Sequence[Delay], *, share: float) -> Iterator[Figure]:
    """Give each way's delays; *share* is how much of the claim's text was split."""
    claimed = (CLAIMED_HELD_MS * share, None, CLAIMED_OFFLOADED_MS, None)
    for name, each, said in zip(NAMES, delays, claimed, strict=True):
        yield Figure(
            name=f"{name}: average delay", value=each.mean_ms, unit="ms", claimed=said
        )
        yield Figure(name=f"{name}: median", value=each.median_ms, unit="ms")
        yield Figure(name=f"{name}: worst", value=each.worst_ms, unit="ms")


def _chart(delays: Sequence[Delay]) -> Chart:
    average = [each.mean_ms for each in delays]
    return Chart(
        title="How late the loop's ticks come",
        x="where the work is done",
        y="average delay, ms",
        log_y=True,
        series=(Series(label="measured", xs=NAMES, ys=average),),
    )
