"""`aip verify`: the store against itself."""

from __future__ import annotations

import json

import click

from aip_pipeline._verify import verify
from aip_pipeline.cli._main import FAILED, OK
from aip_pipeline.cli._options import json_lines_option, store_option
from aip_pipeline.stores import Fault


@click.command(
    epilog="Exit codes: 0 all agrees, or --repair mended it; 1 a fault is left, which "
    "needs --repair, a new ingest or a backup."
)
@store_option
@click.option("--repair", is_flag=True, help="Mend what can be, without embedding.")
@json_lines_option
def command(*, store: str, repair: bool, as_json: bool) -> int:
    """Check that all in a store agrees; every fault is one line.

    Checked are the file, the full text, rows that nobody owns, the length and numbers
    of each vector, each text against its hash, and the counts of each source. A
    repair costs no embedding; a source that must be ingested again is marked, and
    answers as before until that is done.

    \b
    Examples:
      aip verify
      aip verify --repair
      aip verify --json
    """
    found = left = 0
    for fault in verify(store, repair=repair):
        found += 1
        left += not fault.mended or fault.remedy != "repair"
        click.echo(json.dumps(fault._asdict()) if as_json else _line(fault))
    if not as_json:
        click.echo(f"{store}: {_summary(found, left)}")
    return FAILED if left else OK


def _line(fault: Fault) -> str:
    if fault.remedy == "restore":
        todo = "restore a backup, or ingest into a new store"
    elif fault.remedy == "repair":
        todo = "mended" if fault.mended else "mend it with --repair"
    else:
        todo = "ingest the source again"
        if not fault.mended:
            todo = f"mark it with --repair, then {todo}"
    return f"{fault.check}: {fault.where}: {fault.what}: {todo}"


def _summary(found: int, left: int) -> str:
    if not found:
        return "all agrees"
    return f"{found:,} faults, {found - left:,} mended"
