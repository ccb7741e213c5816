"""`aip config`: what holds here, and where each value comes from."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any

import click
from click.core import ParameterSource

from aip_pipeline._redaction import without_password
from aip_pipeline.cli._ingest import command as ingest
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import Setting, json_option, settings_file, variable
from aip_pipeline.cli._printing import print_json, print_line
from aip_pipeline.embedders._endpoint import KEY_VARIABLES
from aip_pipeline.mirrors._open import KEY_VARIABLE


@click.command()
@json_option
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, **values: Any) -> int:
    """Show every setting of `aip ingest`, and where its value comes from.

    A flag wins over the environment (AIP_CHUNK_SIZE), which wins over aip.toml, or
    [tool.aip] of pyproject.toml, in the working folder, which wins over the default.
    Keys come from the environment alone, and are never shown.

    \b
    Examples:
      aip config
      aip config --json
      AIP_CHUNK_SIZE=500 aip config --batch-size 128
    """
    shown = {
        name: (_shown(value), _origin(ctx, name)) for name, value in values.items()
    }
    found = next((name for name in KEY_VARIABLES if os.environ.get(name)), None)
    shown["api_key"] = ("set" if found else None, found or "not set")
    keyed = bool(os.environ.get(KEY_VARIABLE))
    origin = KEY_VARIABLE if keyed else "not set"
    shown["pinecone_api_key"] = ("set" if keyed else None, origin)
    if as_json:
        fields = {
            name: {"value": value, "from": origin}
            for name, (value, origin) in shown.items()
        }
        print_json(fields)
    else:
        _print(shown)
    _name_strangers()
    return OK


command.params[:0] = [param for param in ingest.params if isinstance(param, Setting)]


def _shown(value: object) -> object:
    """Hide what an address may carry of a secret."""
    if isinstance(value, str):
        return without_password(value)
    return value


def _origin(ctx: click.Context, name: str) -> str:
    source = ctx.get_parameter_source(name)
    flag = "--" + name.replace("_", "-")
    if source is ParameterSource.COMMANDLINE:
        return flag
    if source is ParameterSource.ENVIRONMENT:
        return variable(flag)
    if source is ParameterSource.DEFAULT_MAP:
        return settings_file(ctx).name
    return "default"


def _print(shown: dict[str, tuple[object, str]]) -> None:
    rows = [
        (name.replace("_", "-"), "-" if value is None else str(value), origin)
        for name, (value, origin) in shown.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print_line(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}")


def _name_strangers() -> None:
    """Tell of a variable that nothing reads: most likely a slip of the pen."""
    known = {variable(str(param.name)) for param in command.params}
    known |= {*KEY_VARIABLES, "AIP_K", "AIP_MODE"}
    for name in sorted(os.environ):
        if name.startswith("AIP_") and name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            print_line(
                f"aip: {name} is set, but no setting has that name{hint}", err=True
            )
