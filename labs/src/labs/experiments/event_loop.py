"""Lab 2.1: ten tasks on one thread, and what one blocking call does to them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labs import Chart, Figure, Finding, Form, Series, Way, experiment, loop_lag

TASKS, WAIT_S = 10, 0.1
TEXTS, QUICK_TEXTS = 4000, 2000
TEXT = "An embedder turns each text into a vector, and that takes a processor. " * 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one way took, and how late the loop was at most, in seconds."""

    seconds: float
    lag_s: float
    threads: int = 1


async def wait_politely() -> int:
    """Wait as a coroutine should: the loop serves others meanwhile."""
    await asyncio.sleep(WAIT_S)
    return threading.get_ident()


async def wait_rudely() -> int:
    """Wait without giving the loop back."""
    time.sleep(WAIT_S)  # noqa: ASYNC251  # the fault under study
    return threading.get_ident()


async def wait_elsewhere() -> int:
    """Wait just as rudely, on a thread where nobody else waits."""
    await asyncio.to_thread(time.sleep, WAIT_S)
    return threading.get_ident()


async def ten(wait: Callable[[], Awaitable[int]]) -> Run:
    """Run ten of these at once, with a thread for each that asks for one.

    The default pool has only four threads more than there are cores.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TASKS))
    start = time.perf_counter()
    idents, late = await loop_lag(_all([wait() for _ in range(TASKS)]))
    seconds = time.perf_counter() - start
    return Run(seconds=seconds, lag_s=max(late), threads=len(set(idents)))


async def _all(waits: list[Awaitable[int]]) -> list[int]:
    return await asyncio.gather(*waits)


async def embed(texts: int) -> tuple[Run, Run]:
    """Embed with the platform, first with the loop held until it is done."""
    from aip_pipeline import open_embedder

    batch = [f"{number} {TEXT}" for number in range(texts)]

    def blocking() -> None:
        async def work() -> None:
            async with open_embedder("local") as embedder:
                await embedder.embed(batch)

        asyncio.run(work())

    async def held() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(blocking).result()  # the loop stands still until it is there

    async with open_embedder("local") as embedder:
        await embedder.embed(batch[:10])
        offloaded = await _measure(embedder.embed(batch))
        return await _measure(held()), offloaded


async def _measure(work: Awaitable[object]) -> Run:
    start = time.perf_counter()
    _, late = await loop_lag(work)
    return Run(seconds=time.perf_counter() - start, lag_s=max(late))


@experiment(
    "2.1",
    title="The event loop: ten tasks, one thread, and one that blocks",
    question="What happens to all tasks of a loop when one of them blocks?",
    hypothesis=(
        "Waiting tasks cost nothing, so ten waits of 100 ms take 100 ms on one "
        "thread. A blocking call holds that one thread: ten take a second, and "
        "nothing else happens in it."
    ),
    claim=(
        "ten waits of 100 ms take 0.1 s on one thread; with time.sleep 1.0 s, and the "
        "loop stands still; offloaded 0.1 s again"
    ),
    explanation="""
        The loop runs one task until it awaits something unfinished, then the next. A
        blocking call awaits nothing, so no other task runs: no answer is read, no
        timeout fires, Ctrl-C is not seen. On a thread of its own the same call blocks
        only that thread, and code that releases the GIL (sleep, sockets, the tokenizer
        and numpy) really runs beside the loop.""",
    production="""
        The pipeline embeds, reads, splits and commits off the loop. The local embedder
        is measured here as it is shipped: the loop's worst tick while it works, against
        the same work with the loop held.""",
)
def lab(form: Form) -> Finding:
    """Run ten waits three ways, then the platform's embedder two ways."""
    polite, rude, elsewhere = (
        asyncio.run(ten(wait)) for wait in (wait_politely, wait_rudely, wait_elsewhere)
    )
    texts = form.pick(quick=QUICK_TEXTS, whole=TEXTS)
    held, offloaded = asyncio.run(embed(texts))
    whole = TASKS * WAIT_S
    holds = (
        polite.threads == rude.threads == elsewhere.threads == 1
        and max(polite.seconds, elsewhere.seconds) < whole / 2
        and rude.seconds >= whole
        and rude.lag_s >= whole * 0.9
        and offloaded.lag_s < held.lag_s / 4
    )
    return Finding(
        measured=(
            f"ten waits: {polite.seconds:.2f} s; with time.sleep {rude.seconds:.2f} s, "
            f"{rude.lag_s:.2f} s late; offloaded {elsewhere.seconds:.2f} s; "
            f"embedding: late by {offloaded.lag_s * 1e3:.0f} ms at most, not "
            f"{held.lag_s * 1e3:.0f}"
        ),
        verdict="reproduced" if holds else "not reproduced",
        broken=Way(name="block the loop", code="time.sleep(0.1)"),
        right=Way(name="offload", code="await asyncio.to_thread(time.sleep, 0.1)"),
        figures=_figures(polite, rude, elsewhere, held, offloaded),
        charts=(_chart(polite, rude, elsewhere, held, offloaded),),
    )


NAMES = (
    "asyncio.sleep",
    "time.sleep",
    "time.sleep, offloaded",
    "embedding, loop held",
    "embedding, as shipped",
)


def _figures(*runs: Run) -> tuple[Figure, ...]:
    claimed = (WAIT_S, TASKS * WAIT_S, WAIT_S, None, None)
    figures = []
    for name, run, said in zip(NAMES, runs, claimed, strict=True):
        figures += [
            Figure(name=name, value=run.seconds, unit="s", claimed=said),
            Figure(name=f"{name}: worst tick late", value=run.lag_s * 1e3, unit="ms"),
        ]
    return tuple(figures)


def _chart(*runs: Run) -> Chart:
    late = [run.lag_s * 1e3 for run in runs]
    names = [name.replace(", ", ",\n") for name in NAMES]
    return Chart(
        title="How late the loop's worst tick came",
        x="what ran meanwhile",
        y="ms",
        log_y=True,
        series=(Series(label="measured", xs=names, ys=late),),
    )
