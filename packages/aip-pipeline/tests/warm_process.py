"""Start `aip` again and again without its imports: fork a process that has them.

As a program it reads one JSON object a line and answers with one line each:
``{"args": [...], "out": PATH, "max_file_bytes": N}`` forks a process that runs
``aip ARGS`` with its output in the file, and answers its pid; ``{}`` waits for that
process, and answers how it ended, as `os.waitstatus_to_exitcode` says. A forked
process is a process like any other to who kills it, and to the files it leaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

MAX_TRANSACTION_BYTES = 32 << 10
MAX_TRANSACTION_S = 0.02


class WarmProcess:
    """Fork runs of `aip` from a process that is warm; one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def start(
        self, *args: str, out: Path, max_file_bytes: int | None = None
    ) -> None:
        """Start `aip` with *args*; a write beyond *max_file_bytes* of a file fails."""
        asked = {"args": args, "out": str(out), "max_file_bytes": max_file_bytes}
        self.pid = await self._ask(asked)

    async def ended(self) -> int:
        """Wait for its end; return its exit code, or minus the signal's number.

        Until then its pid is its own, so that it can be killed without a doubt.
        """
        return await self._ask({})

    async def _ask(self, what: Mapping[str, object]) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(what).encode() + b"\n")
        return int(await stdout.readline())


def _run(args: list[str], out: str, max_file_bytes: int | None) -> None:
    from aip_pipeline.cli import main  # noqa: PLC0415  # for the program only

    opened = os.open(out, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    if max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    code: object = 1
    try:
        main(args)
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _serve() -> None:
    """Answer until standard input ends."""
    _warm_up()
    pid = 0
    for line in sys.stdin:
        asked = json.loads(line)
        if asked:
            pid = os.fork()
            if not pid:
                _run(**asked)
            answer = pid
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _warm_up() -> None:
    """Import all that a run needs, and make its bounds small."""
    import numpy as np  # noqa: F401, PLC0415

    import aip_pipeline.cli._ingest  # noqa: PLC0415
    from aip_pipeline import _ingestion, _settings, _writing  # noqa: F401, PLC0415
    from aip_pipeline.embedders import _openai  # noqa: F401, PLC0415

    del aip_pipeline
    # So that a short run has many transactions, and waits for memory.
    _writing.MAX_TRANSACTION_BYTES = MAX_TRANSACTION_BYTES
    _writing.MAX_TRANSACTION_S = MAX_TRANSACTION_S
    _settings._LOWEST["max_memory_bytes"] = 1


if __name__ == "__main__":
    _serve()
