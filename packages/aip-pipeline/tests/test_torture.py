"""Real processes, killed and drained at random moments, again and again.

Each store is filled through many deaths; when it is complete it must equal, row for
row, the one that an undisturbed run makes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from tortured import DONE, INTERRUPTED, begun

KILLS, DRAINS = 200, 20
BLOCKS = 4  # so that two workers can share them

pytestmark = pytest.mark.timeout(600)  # on a busy machine


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    memory_path: Path, block: int
) -> None:
    async with begun(memory_path, seed=block) as torture:
        killed = 0
        while killed < KILLS // BLOCKS:
            await torture.start()
            await torture.live_a_while()
            os.kill(torture.warm.pid, signal.SIGKILL)
            if await torture.warm.ended() == -signal.SIGKILL:
                killed += 1
                await torture.check_interrupted()
            else:
                torture.check_complete()
        await torture.complete()


async def test_drained_at_any_moment_it_throws_nothing_away(memory_path: Path) -> None:
    async with begun(memory_path, seed=0) as torture:
        drained = 0
        while drained < DRAINS:
            await torture.start()
            await torture.requests_sent(torture.random.randint(1, 12))
            await asyncio.sleep(torture.random.uniform(0, 0.02))
            os.kill(torture.warm.pid, signal.SIGTERM)
            ended = await torture.warm.ended()
            *told, report = torture.said.splitlines()
            counts = json.loads(report)
            parts = "stored", "unchanged", "filtered", "dead"
            assert counts["read"] == sum(counts[name] for name in parts)
            assert torture.unpaid() == 0, "embedded, and thrown away"
            if ended == INTERRUPTED:
                drained += 1
                assert len(told) == 1
                assert "stopping: finishing what is in flight" in told[0]
                await torture.check_interrupted()
            else:
                # The signal came when all was done, or when the run had ended.
                assert ended in {DONE, -signal.SIGTERM}
                torture.check_complete()
        await torture.complete()
