"""A run killed with SIGKILL, again and again, at random moments."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from labs._form import Form
from labs._measure import MIB, scratch
from labs._result import Row
from labs.experiments.ingest._client import (
    IN_FLIGHT,
    POLL_S,
    SAME_WORK,
    Server,
    aip,
    serving,
    start,
)
from labs.experiments.ingest._corpus import Corpus, write_corpus
from labs.experiments.ingest._stored import Harm, count_vectors, harm

KILLS, BRIEF_KILLS, QUICK_KILLS = 200, 25, 2
BATCH = 64
# A transaction of the store takes 4 MiB: so many vectors of 256 floats at most.
TRANSACTION_TEXTS = (4 << 20) // 1024
AGAIN_BAR = IN_FLIGHT * BATCH + TRANSACTION_TEXTS
LIVES_S = 0.8
CYCLE_S = 120.0


@dataclass(slots=True, kw_only=True)
class Toll:
    """What the kills did, over all stores.

    Args:
        kills: how many hit a run.
        wasted: for each kill, texts embedded but not durable at that moment; the
            few by which a run knows its model again are among them.
        again: texts embedded more than once, counted by the server.
        harm: found in the stores that were completed.
        completed: stores that were filled to the end and compared.
    """

    kills: int = 0
    wasted: list[int] = field(default_factory=list)
    again: int = 0
    harm: Harm = field(default_factory=Harm)
    completed: int = 0


def kill(form: Form) -> tuple[Row, ...]:
    """Kill runs, resume each, and compare every store once it is complete."""
    wanted = form.pick(quick=QUICK_KILLS, brief=BRIEF_KILLS, whole=KILLS)
    n_bytes = form.pick(quick=3 * MIB, whole=100_000_000)
    toll, random = Toll(), Random(0)
    with scratch() as folder:
        corpus = write_corpus(folder / "corpus.jsonl", n_bytes=n_bytes)
        while toll.kills < wanted:
            _fill(corpus, toll, random, wanted=wanted)
    most = max(toll.wasted)
    mean = toll.again / toll.kills
    return (
        Row(
            work=f"kill -9, {toll.kills} times over {toll.completed} stores",
            reference="-",
            bar=str(Harm()),
            measured=str(toll.harm),
            met=toll.completed > 0 and not toll.harm,
        ),
        Row(
            work="texts embedded again after a kill",
            reference="-",
            bar=f"<= {AGAIN_BAR:,} (in flight and one transaction)",
            measured=f"{most:,} at most, {mean:,.0f} on average",
            met=most <= AGAIN_BAR,
        ),
    )


def _fill(corpus: Corpus, toll: Toll, random: Random, *, wanted: int) -> None:
    """Fill one store, killing on the way until *wanted* kills are done."""
    with scratch() as folder, serving() as server:
        database = folder / "store.db"
        command = aip(
            corpus.path, database, server.url, *SAME_WORK, concurrency=IN_FLIGHT
        )
        while True:
            lives_s = random.uniform(0, LIVES_S)
            early = random.random() < 0.1  # noqa: PLR2004  # a tenth die while starting
            if toll.kills == wanted:
                lives_s, early = CYCLE_S, False
            if _live(command, folder, server, lives_s, early=early):
                break
            toll.kills += 1
            toll.wasted.append(_settled(server) - count_vectors(database))
        seen = server.stats()
        toll.again += seen["texts"] - seen["distinct"]
        toll.harm += harm(database, corpus)
        toll.completed += 1


def _live(
    command: list[str], folder: Path, server: Server, lives_s: float, *, early: bool
) -> bool:
    """Run for *lives_s* from the first request (or the start); tell if it ended.

    Raises:
        RuntimeError: it ended by itself, with an error.
    """
    before = server.stats()["requests"]
    with start(command, folder) as process:
        until = time.monotonic() + CYCLE_S
        while process.poll() is None and not early and time.monotonic() < until:
            if server.stats()["requests"] > before:
                break
            time.sleep(POLL_S)
        until = time.monotonic() + lives_s
        while process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_S / 4)
        if process.poll() is None:
            process.kill()
            return False
    if process.returncode != 0:
        said = (folder / "stderr").read_text(encoding="utf-8")[-300:]
        raise RuntimeError(f"a resumed run ended with {process.returncode}: {said}")
    return True


def _settled(server: Server) -> int:
    """Wait until the server did what it was asked; give how many texts that was."""
    while server.stats()["in_flight"]:
        time.sleep(POLL_S)
    return int(server.stats()["distinct"])
