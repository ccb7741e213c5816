"""The options that say what is read, how it is cut, and what embeds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar, get_args

import click

from aip_pipeline._errors import ConfigError
from aip_pipeline._settings import IngestSettings, SettingError
from aip_pipeline.cli._options import (
    Concurrency,
    option,
    spelled,
    store_option,
)
from aip_readers import Format

F = TypeVar("F", bound=Callable[..., object])

_FIELDS = {"max_memory": "max_memory_bytes", "deadline": "deadline_s"}
_DEFAULT = IngestSettings()

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    store_option,
    option(
        "--embedder",
        default=_DEFAULT.embedder,
        metavar="SPEC",
        help="local (offline, no key), or openai:MODEL.",
    ),
    option("--base-url", metavar="URL", help="Root of an OpenAI-compatible API."),
    option("--dimensions", type=click.IntRange(1), help="Components of each vector."),
    option(
        "--chunk-size",
        type=click.IntRange(1),
        default=_DEFAULT.chunk_size,
        help="Most characters in one chunk.",
    ),
    option(
        "--chunk-overlap",
        type=click.IntRange(0),
        default=_DEFAULT.chunk_overlap,
        help="Characters that neighbouring chunks share.",
    ),
    option(
        "--batch-size",
        type=click.IntRange(1),
        default=_DEFAULT.batch_size,
        help="Most texts in one request.",
    ),
    option(
        "--concurrency",
        type=Concurrency(),
        default=_DEFAULT.concurrency,
        help="Requests in flight, or adaptive.",
    ),
    option(
        "--rpm", type=click.IntRange(1), help="Requests a minute the server admits."
    ),
    option("--tpm", type=click.IntRange(1), help="Tokens a minute the server admits."),
    option(
        "--clean",
        type=click.Choice(["nfc", "none"]),
        default=_DEFAULT.clean,
        help="nfc normalizes, collapses white space and drops control characters; none "
        "leaves the text as it is, as code needs.",
    ),
    option("--no-fulltext", is_flag=True, help="Keep no full-text index."),
    option(
        "--format",
        type=click.Choice(get_args(Format)),
        default=_DEFAULT.format,
        help="Format of every source.",
    ),
    option(
        "--text-field",
        default=_DEFAULT.text_field,
        help="Field that holds a record's text.",
    ),
    option("--id-field", help="Field that names a record."),
    option(
        "--encoding",
        default=_DEFAULT.encoding,
        metavar="NAME",
        help="Encoding of text without a byte order mark, such as latin-1; not for PDF "
        "and Parquet. detect guesses it, with the extra aip-readers[detect].",
    ),
    option(
        "--price",
        type=click.FloatRange(0, min_open=True),
        help="Cost of a million tokens.",
    ),
    option("--max-tokens", type=click.IntRange(0), help="Stop before spending more."),
    option("--max-cost", type=click.FloatRange(0), help="Stop before it costs more."),
)


def source_options(function: F) -> F:
    """Add to a command the options that decide what ingest finds and sends."""
    made: F = reduce(lambda inner, add: add(inner), reversed(_OPTIONS), function)
    return made


def settings_of(given: dict[str, Any]) -> IngestSettings:
    """Make settings of what the command line gave.

    Raises:
        ConfigError: a setting is out of range.
    """
    fields = dict(given)
    for name, field in _FIELDS.items():
        if name in fields:
            fields[field] = fields.pop(name)
    fields["fulltext"] = False if fields.pop("no_fulltext") else None
    try:
        return IngestSettings(**fields)
    except SettingError as error:
        ctx, options = click.get_current_context(), {v: k for k, v in _FIELDS.items()}
        said = error.told(lambda field: spelled(ctx, options.get(field, field)))
        raise ConfigError(f"{said}: see `{ctx.command_path} --help`") from error
