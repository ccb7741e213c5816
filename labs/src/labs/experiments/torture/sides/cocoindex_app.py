"""CocoIndex: an app that declares rows, and a table in SQLite as their target.

https://cocoindex.io/docs/programming_guide/core_concepts
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import cocoindex as coco
from cocoindex.connectors import localfs, sqlite
from cocoindex.ops.litellm import LiteLLMEmbedder
from cocoindex.ops.text import RecursiveSplitter
from cocoindex.resources.chunk import Chunk
from cocoindex.resources.file import FileLike
from cocoindex.resources.id import IdGenerator

from labs.experiments.torture.sides._commands import (
    CHUNK_CHARS,
    KEY,
    MODEL,
    OVERLAP_CHARS,
    Passage,
    run,
)

TABLE, TABLE_FILE = "passage", "table.db"
DATABASE: Any = coco.ContextKey[sqlite.ManagedConnection]("database")
EMBEDDER: Any = coco.ContextKey[LiteLLMEmbedder]("embedder")
STATE: list[Path] = []
URL: list[str] = []
splitter = RecursiveSplitter()


@coco.lifespan  # type: ignore[untyped-decorator]  # not there to be checked
async def lifespan(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
    """Open the database and the embedder."""
    builder.settings.db_path = STATE[0] / "cocoindex.db"
    embedder = LiteLLMEmbedder(f"openai/{MODEL}", api_base=URL[0], api_key=KEY)
    with sqlite.managed_connection(STATE[0] / TABLE_FILE, load_vec=False) as database:
        builder.provide(DATABASE, database)
        builder.provide(EMBEDDER, embedder)
        yield


@dataclass
class Row:
    """One passage, as it is stored."""

    id: int
    source: str
    text: str
    vector: bytes  # a vector column would need an extension of SQLite


@coco.fn  # type: ignore[untyped-decorator]  # not there to be checked
async def embed_chunk(
    chunk: Chunk, path: PurePath, ids: IdGenerator, table: sqlite.TableTarget[Row]
) -> None:
    """Declare the row of one chunk."""
    vector = await coco.use_context(EMBEDDER).embed(chunk.text)
    row = Row(
        id=await ids.next_id(chunk.text),
        source=str(path),
        text=chunk.text,
        vector=vector.tobytes(),
    )
    table.declare_row(row=row)


@coco.fn(memo=True)  # type: ignore[untyped-decorator]  # not there to be checked
async def embed_file(file: FileLike, table: sqlite.TableTarget[Row]) -> None:
    """Split one file, and embed what came out."""
    path, text = file.file_path.path, await file.read_text()
    if path.suffix == ".jsonl":
        text = "\n\n".join(json.loads(line)["text"] for line in text.splitlines())
    chunks = splitter.split(text, chunk_size=CHUNK_CHARS, chunk_overlap=OVERLAP_CHARS)
    await coco.map(embed_chunk, chunks, path, IdGenerator(), table)


@coco.fn  # type: ignore[untyped-decorator]  # not there to be checked
async def embed_folder(folder: Path) -> None:
    """Mount one component for each file."""
    table = await sqlite.mount_table_target(
        DATABASE, TABLE, await sqlite.TableSchema.from_class(Row, primary_key=["id"])
    )
    files = localfs.walk_dir(folder, recursive=True)
    await coco.mount_each(embed_file, files.items(), table)


def ingest(folder: Path, state: Path, url: str) -> None:
    """Bring the table up to date."""
    os.environ["COCOINDEX_DB"] = str(state / "cocoindex.db")
    STATE.append(state)
    URL.append(url)
    app = coco.App(coco.AppConfig(name="torture"), embed_folder, folder=folder)
    app.update_blocking(report_to_stdout=True)


def passages(state: Path) -> Iterator[Passage]:
    """Read them from the table."""
    if not (state / TABLE_FILE).exists():
        return
    with closing(sqlite3.connect(state / TABLE_FILE)) as db:
        known = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (TABLE,))
        if known.fetchone():
            rows = db.execute("SELECT source, text, length(vector) / 4 FROM passage")
            for source, text, length in rows:
                yield source, text, length or 0


def empty(state: Path) -> None:
    """Delete the rows of the table; what CocoIndex remembers is left."""
    with closing(sqlite3.connect(state / TABLE_FILE)) as db, db:
        db.execute("DELETE FROM passage")


if __name__ == "__main__":
    run(ingest, passages, empty)
