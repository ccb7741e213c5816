"""The command `aip`."""

from __future__ import annotations

from aip_pipeline.cli._main import main

__all__ = ["main"]
