"""Run `aip` as `python -m aip_pipeline`."""

from __future__ import annotations

from aip_pipeline.cli import main

main()
