"""The other clients, in an environment of their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from labs._environment import NoEnvironment, environment

WANTED = (
    "aiohttp>=3.14.1",
    "aiohttp-retry>=2.9",
    "httpx>=0.28",
    "httpx-retries>=0.4",
    "openai>=2",
    "stamina>=25",
    "tenacity>=9",
)
RUN_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Peers:
    """The Python of the environment that holds them."""

    python: Path

    @classmethod
    def find(cls) -> Self | None:
        """Make the environment if it is not there; None where uv cannot."""
        try:
            return cls(environment("http-peers", wanted=WANTED))
        except NoEnvironment:
            return None

    async def run(self, *args: object) -> Any:
        """Run the rivals' script with *args*; return the JSON it prints."""
        script = Path(__file__).with_name("_rivals.py")
        process = await asyncio.create_subprocess_exec(
            str(self.python),
            str(script),
            *map(str, args),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # their logs of what we made fail
        )
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return json.loads(out.splitlines()[-1])
