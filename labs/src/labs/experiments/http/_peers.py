"""The other clients, in an environment of their own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

WANTED = (
    "aiohttp>=3.14.1",
    "aiohttp-retry>=2.9",
    "httpx>=0.28",
    "httpx-retries>=0.4",
    "openai>=2",
    "stamina>=25",
    "tenacity>=9",
)
MAKE_TIMEOUT_S = 300.0
RUN_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Peers:
    """The Python of the environment that holds them."""

    python: Path

    @classmethod
    def find(cls) -> Self | None:
        """Make the environment if it is not there; None where uv cannot."""
        uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
        name = hashlib.sha256("\n".join(WANTED).encode()).hexdigest()[:12]
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        folder = base / "aip-labs" / f"peers-{name}"
        python = folder / "bin" / "python"
        if (folder / "complete").exists():
            return cls(python)
        if uv is None:
            return None
        make = [uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)]
        fill = [uv, "pip", "install", "-q", "--python", str(python), *WANTED]
        try:
            for command in (make, fill):
                subprocess.run(command, check=True, timeout=MAKE_TIMEOUT_S)
        except (subprocess.SubprocessError, OSError):
            return None
        (folder / "complete").touch()
        return cls(python)

    async def run(self, *args: object) -> Any:
        """Run the rivals' script with *args*; return the JSON it prints."""
        script = Path(__file__).with_name("_rivals.py")
        process = await asyncio.create_subprocess_exec(
            str(self.python),
            str(script),
            *map(str, args),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return json.loads(out.splitlines()[-1])
