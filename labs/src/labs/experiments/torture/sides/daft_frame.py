"""Daft: a data frame of texts, `embed_text`, and Parquet.

https://docs.daft.ai/en/stable/ai-functions/embed/
It keeps no state between runs: each computes the whole frame again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import daft
from daft.ai.openai.provider import OpenAIProvider
from daft.functions import decode, download, embed_text

from labs.experiments.torture.sides._commands import (
    BATCH,
    CHUNK_CHARS,
    DIMENSIONS,
    KEY,
    Passage,
    run,
)

# Another name would be probed for its dimensions first.
MODEL = "text-embedding-3-small"


@daft.func  # type: ignore[untyped-decorator]  # not there to be checked
def cut(text: str) -> Iterator[str]:
    """Give one paragraph after another, cut where it is too long."""
    for paragraph in text.split("\n\n"):
        for start in range(0, len(paragraph), CHUNK_CHARS):
            yield paragraph[start : start + CHUNK_CHARS]


def ingest(folder: Path, state: Path, url: str) -> None:
    """Embed every text, and write all of it."""
    frame = _frame(folder).with_column("text", cut(daft.col("text")))
    provider = OpenAIProvider("loopback", base_url=url, api_key=KEY)
    vector = embed_text(
        daft.col("text"),
        provider=provider,
        model=MODEL,
        dimensions=DIMENSIONS,
        batch_size=BATCH,
    )
    frame = frame.with_column("vector", vector)
    frame.write_parquet(str(state / "frame"), write_mode="overwrite")


def _frame(folder: Path) -> Any:
    if any(folder.glob("*.jsonl")):
        path = str(folder / "*.jsonl")
        return daft.read_json(path, file_path_column="source")
    frame = daft.from_glob_path(str(folder / "**/*.txt"))
    text = decode(download(daft.col("path")), "utf-8")
    return frame.select(daft.col("path").alias("source"), text.alias("text"))


def passages(state: Path) -> Iterator[Passage]:
    """Read them from Parquet."""
    folder = state / "frame"
    if not any(folder.glob("*.parquet")):
        return
    for row in daft.read_parquet(str(folder)).iter_rows():
        vector = row["vector"]
        yield row["source"], row["text"], 0 if vector is None else len(vector)


def empty(state: Path) -> None:
    """Remove the files."""
    for path in (state / "frame").glob("*.parquet"):
        path.unlink()


if __name__ == "__main__":
    run(ingest, passages, empty)
    sys.stdout.flush()
    os._exit(0)  # Daft 0.7 may crash while the interpreter ends, its work done
