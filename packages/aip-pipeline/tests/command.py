"""The command `aip`, run inside the test's process: what it printed and its code."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from aip_pipeline.cli import main


class Ran(NamedTuple):
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Aip:
    """Run `aip` in a folder, without a process of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *args: str | Path) -> Ran:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        printed = self._capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, printed.out, printed.err)


async def aip_process(
    *args: str,
    stdin: int | None = None,
    stderr: int = asyncio.subprocess.PIPE,
    **variables: str,
) -> asyncio.subprocess.Process:
    """Start `aip` as a process in the working folder, with some variables set."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aip_pipeline", *args),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=os.environ | variables,
    )
