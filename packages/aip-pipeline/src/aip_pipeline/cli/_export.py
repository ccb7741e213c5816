"""`aip export`: every chunk with its vector, as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from aip_pipeline._errors import PipelineError
from aip_pipeline._export import export, json_line
from aip_pipeline.cli._main import OK
from aip_pipeline.cli._options import store_option


@click.command()
@store_option
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file instead of stdout; it appears when it is complete.",
)
def command(*, store: str, output: Path | None) -> int:
    """Write every stored chunk as one line of JSON, vector included.

    The fields: id, source, start, end, line, within (where the text is a part of a
    record), text, vector, metadata. Lines come by source and place; memory does not
    grow with the store. An ingest may go on meanwhile.

    \b
    Examples:
      aip export > chunks.jsonl
      aip export --output chunks.jsonl
      aip export | head -n 1
    """
    with _opened(output) as stream:
        for entry in export(store):
            stream.write(json_line(entry) + "\n")
    return OK


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Open what is written to; a file takes its name only when it is whole."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # a TextIOWrapper
        yield sys.stdout
        return
    partial = output.with_name(output.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
        partial.replace(output)
    except OSError as error:
        raise PipelineError(
            f"cannot write {output} ({error.strerror}): check the path and the disk"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
