"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(click.ParamType[int]):
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


class Concurrency(click.ParamType[str | int]):
    """A number of requests in flight, or "adaptive"."""

    name = "concurrency"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int:
        """Read a concurrency."""
        if value == "adaptive" or isinstance(value, int):
            return value  # type: ignore[no-any-return]  # narrowed by the test
        if str(value).isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(
            f"{value!r} is neither a positive number nor 'adaptive'", param, ctx
        )


def option(name: str, *more: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option that the environment sets too: `--base-url`, AIP_BASE_URL."""
    variable = "AIP_" + name.removeprefix("--").replace("-", "_").upper()
    defaults = {"envvar": variable, "show_envvar": True, "show_default": True}
    return click.option(name, *more, **{**defaults, **settings})


store_option = option(
    "--store",
    metavar="URL",
    default="sqlite:///aip.db",
    help="Where chunks, vectors and progress are kept.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else."
)
