"""Environments for what we only measure: made by uv when first asked for."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MAKE_TIMEOUT_S = 600.0


class NoEnvironment(RuntimeError):
    """Report that an environment could not be made, and why."""


def environment(name: str, *, wanted: Sequence[str]) -> Path:
    """Give the Python of an environment that holds *wanted*, making it if need be.

    It lies under ``XDG_CACHE_HOME`` (or ``~/.cache``) and is used again.

    Raises:
        NoEnvironment: uv is missing, or could not install them.
    """
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = base / "aip-labs" / f"{name}-{key}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        raise NoEnvironment("there is no uv to make it with")
    _call(uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder))
    # Copies: nltk refuses to read files that are hard links into uv's cache.
    options = "-q", "--link-mode=copy", "--python", str(python)
    _call(uv, "pip", "install", *options, *wanted)
    (folder / "complete").touch()
    return python


def _call(*command: str) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=MAKE_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit {error.returncode}"]
        raise NoEnvironment(said[-1]) from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise NoEnvironment(str(error)) from error
