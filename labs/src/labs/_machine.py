"""Where a result was measured: figures mean little without it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("aip-readers", "aip-httpclient", "aip-pipeline", "aiohttp", "numpy")


def machine() -> dict[str, str]:
    """Describe processor, memory, system, Python, packages and the time."""
    return {
        "date": datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    return _proc("cpuinfo", "model name") or platform.machine()


def _memory() -> str:
    said = _proc("meminfo", "MemTotal")
    return f"{int(said.split()[0]) / 2**20:.1f} GiB" if said else "unknown"


def _proc(file: str, key: str) -> str:
    path = Path("/proc") / file
    if not path.exists():
        return ""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
