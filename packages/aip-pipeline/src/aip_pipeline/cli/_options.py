"""Options that several commands share, and where their values come from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from aip_pipeline._errors import ConfigError
from aip_pipeline.cli._settings_file import (
    SettingsFile,
    load_settings,
    refuse_type,
    refuse_unknown,
)

if TYPE_CHECKING:
    SizeParam = click.ParamType[int]
    ConcurrencyParam = click.ParamType[str | int]
else:  # generic only in later releases than the oldest admitted
    SizeParam = ConcurrencyParam = click.ParamType

F = TypeVar("F", bound=Callable[..., object])

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DECLARED: set[str] = set()


class Size(SizeParam):
    """A number of bytes, such as 64M or 1G; units are powers of 1024."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read a size."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(
            r"(\d+)\s*([KMG]?)(?:i?B)?", str(value).strip(), re.IGNORECASE
        )
        if found is None:
            self.fail(f"{value!r} is not a size: write 64M, 512K or 1G", param, ctx)
        return int(found.group(1)) * _UNITS[found.group(2).upper()]


class Duration(click.FloatRange):
    """A time in seconds, such as 25, 90s, 10m or 1h."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a duration."""
        written = str(value).strip()
        unit = written[-1:] if written[-1:] in _SECONDS else ""
        try:
            seconds = float(written.removesuffix(unit)) * _SECONDS[unit]
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a time: write 25, 90s, 10m or 1h", param, ctx)
        try:
            return float(super().convert(seconds, param, ctx))
        except click.BadParameter:  # it would show the seconds
            self.fail(f"{value!r} is too short: write 25, 90s, 10m or 1h", param, ctx)


class Concurrency(ConcurrencyParam):
    """A number of requests in flight, or "adaptive"."""

    name = "concurrency"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int:
        """Read a concurrency."""
        if value == "adaptive":
            return "adaptive"
        if str(value).isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(
            f"{value!r} is neither a positive number nor 'adaptive'", param, ctx
        )


class Setting(click.Option):
    """An option that the environment and the settings file set too.

    Flags win over the environment, which wins over the file, which wins over the
    default.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        _DECLARED.add(str(self.name))

    def consume_value(
        self, ctx: click.Context, opts: Mapping[str, Any]
    ) -> tuple[Any, ParameterSource]:
        """Take the value that the file holds where nothing stronger is set."""
        value, source = super().consume_value(ctx, opts)
        if source is ParameterSource.DEFAULT and not ctx.resilient_parsing:
            file = settings_file(ctx)
            if self.name in file.values:
                wanted = self._wanted(file.values[self.name])
                if wanted is not None:
                    refuse_type(file, self.name, wanted=wanted)
                return file.values[self.name], ParameterSource.DEFAULT_MAP
        return value, source

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert the value; one from the file is blamed on the file."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            if ctx.get_parameter_source(str(self.name)) is ParameterSource.DEFAULT_MAP:
                file = settings_file(ctx)
                said, key = error.message.rstrip("."), file.keys[str(self.name)]
                raise ConfigError(f"{file.name} sets {key!r} wrongly: {said}") from None
            raise

    def _wanted(self, value: object) -> str | None:
        """Say what TOML type is wanted, unless *value* is of it."""
        if self.is_flag:
            accepted: tuple[type, ...] = (bool,)
            wanted = "true or false"
        elif isinstance(self.type, Size | Concurrency):
            accepted, wanted = (int, str), "an integer or a string"
        elif isinstance(self.type, Duration):
            accepted, wanted = (int, float, str), "a number of seconds or a string"
        elif isinstance(self.type, click.types.IntParamType):
            accepted, wanted = (int,), "an integer"
        elif isinstance(self.type, click.types.FloatParamType):
            accepted, wanted = (int, float), "a number"
        else:
            accepted, wanted = (str,), "a string"
        # In Python, though not in TOML, a boolean is an integer.
        sound = isinstance(value, accepted) and (
            bool in accepted or not isinstance(value, bool)
        )
        return None if sound else wanted


def settings_file(ctx: click.Context) -> SettingsFile:
    """Return the working folder's settings, read once in a run of `aip`.

    Raises:
        ConfigError: the file cannot be right.
    """
    meta = ctx.find_root().meta
    if "aip.settings" not in meta:
        file = load_settings(Path.cwd())
        if file.values.keys() - _DECLARED:
            _declare_all()
            refuse_unknown(file, _DECLARED)
        meta["aip.settings"] = file
    found: SettingsFile = meta["aip.settings"]
    return found


def _declare_all() -> None:
    """Import every command, and so declare its options; only a strange key needs it."""
    group = import_module("aip_pipeline.cli._main").aip
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            group.get_command(ctx, name)


def variable(name: str) -> str:
    """Name the environment variable that sets an option."""
    return "AIP_" + name.removeprefix("--").replace("-", "_").upper()


def spelled(ctx: click.Context, name: str) -> str:
    """Name an option as it was given: its flag, its variable, or its key in a file."""
    flag = "--" + name.replace("_", "-")
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.ENVIRONMENT:
        return variable(flag)
    if source is ParameterSource.DEFAULT_MAP:
        file = settings_file(ctx)
        return f"{file.keys[name]} in {file.name}"
    return flag


def option(name: str, *more: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option that the environment and the settings file set too."""
    defaults = {"envvar": variable(name), "show_envvar": True, "show_default": True}
    return click.option(name, *more, cls=Setting, **{**defaults, **settings})


store_option = option(
    "--store",
    metavar="URL",
    default="sqlite:///aip.db",
    help="Where chunks, vectors and progress are kept.",
)
mirror_option = option(
    "--mirror",
    metavar="SPEC",
    help="A copy kept elsewhere: pinecone:https://INDEX-HOST[/NAMESPACE]; its key is "
    "PINECONE_API_KEY.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else."
)
json_lines_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON lines on stdout, one object each, and nothing else.",
)
