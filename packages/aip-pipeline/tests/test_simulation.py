"""A thousand seeded schedules of whole runs, in virtual time, with everything failing.

One seed is one store's life: processes that are killed, drained, stopped or starved of
disk, a server that fails and lies, and at the end an undisturbed process. After each
life the store must be whole and nothing paid for twice; at the end it must be the one
that an undisturbed run makes, row for row.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated import disk
from simulated.disk import DiskFaults
from simulated.machine import Deadlock, Machine
from simulated.plan import Life, Plan
from simulated.world import World

from aip_httpclient.testing import Faults

SEEDS, SHORT, BLOCK = 1000, 20, 20
ENDS = {"done", "killed", "store failed", "interrupted", "budget spent"}
REPLAY = "uv run nox -s proof -- -k schedule --seed {seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the seeds in blocks, or the one that is asked for."""
    if "first" in metafunc.fixturenames:
        count = SEEDS if metafunc.config.getoption("--proof") else SHORT
        one = metafunc.config.getoption("--seed")
        firsts = range(0, count, BLOCK) if one is None else [one]
        metafunc.parametrize("first", firsts)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def live(seed: int, folder: Path, *, plan: Plan | None = None) -> World:
    """Live through a seed; what goes wrong says how to have it again."""
    folder.mkdir()
    world = World(seed, folder, plan=plan)
    try:
        world.live()
    except BaseException as error:
        error.add_note(
            f"seed {seed}: have it again with\n    {REPLAY.format(seed=seed)}"
        )
        error.add_note(f"{world.plan}\nlives so far: {dict(world.lives)}; the last:")
        error.add_note("\n".join(world.machine.events))
        raise
    return world


def live_many(seeds: Iterable[int], folder: Path) -> Counter[str]:
    """Live through seeds; return how their lives ended."""
    return sum((live(n, folder / str(n)).lives for n in seeds), Counter[str]())


def test_no_schedule_loses_doubles_or_pays_twice(
    first: int, memory_path: Path, request: pytest.FixtureRequest
) -> None:
    alone = request.config.getoption("--seed") is not None
    ends = live_many(range(first, first + (1 if alone else BLOCK)), memory_path)
    assert alone or first or ends.keys() >= ENDS, "not every way to end is tried"


def test_a_seed_repeats_its_schedule(memory_path: Path) -> None:
    digests = [live(7, memory_path / str(n)).digest for n in range(2)]
    assert digests[0] == digests[1]
    assert live(8, memory_path / "8").digest != digests[0]


@pytest.fixture
def done_before_durable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plant the bug: progress is durable one transaction before its chunks."""
    held: list[tuple[str, str, Any]] = []
    execute, executemany = disk._Connection.execute, disk._Connection.executemany

    def later(self: Any, sql: str, rows: Any) -> sqlite3.Cursor:
        if not sql.lstrip().startswith(("INSERT INTO chunk", "INSERT INTO dead")):
            return executemany(self, sql, rows)
        held.append(("executemany", sql, list(rows)))
        return sqlite3.Connection.cursor(self)

    def progress_first(self: Any, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql.lstrip().startswith("INSERT INTO chunk_fts (rowid"):
            held.append(("execute", sql, *args))
            return sqlite3.Connection.cursor(self)
        cursor = execute(self, sql, *args)
        if sql == "ROLLBACK":
            held.clear()
        if sql == "COMMIT" and held:
            execute(self, "BEGIN IMMEDIATE")
            for how, late, rows in held:
                (execute if how == "execute" else executemany)(self, late, rows)
            held.clear()
            execute(self, "COMMIT")
        return cursor

    monkeypatch.setattr(disk._Connection, "execute", progress_first)
    monkeypatch.setattr(disk._Connection, "executemany", later)
    yield
    held.clear()


@pytest.mark.usefixtures("done_before_durable")
def test_a_planted_bug_is_caught(memory_path: Path) -> None:
    calm = Plan(lives=(), faults=Faults(), lies=0, base64=True, settings={})
    live(0, memory_path / "calm", plan=calm)  # undisturbed, it shows nowhere
    with pytest.raises(AssertionError) as caught:
        live_many(range(SHORT), memory_path)
    assert "have it again with" in caught.value.__notes__[0]


def test_a_deadlock_is_found_and_not_waited_for() -> None:
    import asyncio  # noqa: PLC0415

    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="nobody can go on"):
        Machine(0).run(forever())


def test_a_killed_process_leaves_what_was_durable(memory_path: Path) -> None:
    killed = Life(disk=DiskFaults(crash_at=60))
    plan = Plan(lives=(killed,), faults=Faults(), lies=0, base64=True, settings={})
    world = live(1, memory_path / "one", plan=plan)
    assert world.lives == {"killed": 1, "done": 2}
