"""LangChain: `index` with a record manager in SQLite, and Chroma as its store.

https://reference.langchain.com/python/langchain-core/indexing/api/index
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_chroma import Chroma
from langchain_classic.indexes import SQLRecordManager
from langchain_community.document_loaders import (
    DirectoryLoader,
    JSONLoader,
    TextLoader,
)
from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_openai import OpenAIEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

from labs.experiments.torture.sides._commands import (
    BATCH,
    CHUNK_CHARS,
    KEY,
    MODEL,
    OVERLAP_CHARS,
    Passage,
    run,
)

# "incremental" is the mode that the documentation recommends; "full" also deletes.
CLEANUP: Any = os.environ.get("LABS_CLEANUP", "incremental")


def ingest(folder: Path, state: Path, url: str) -> None:
    """Load the files, split them, and index what came out."""
    loaded = _load(folder)
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=CHUNK_CHARS, chunk_overlap=OVERLAP_CHARS
    )
    records = SQLRecordManager("chroma/labs", db_url=f"sqlite:///{state}/records.db")
    records.create_schema()
    embeddings = OpenAIEmbeddings(
        model=MODEL,
        base_url=url,
        api_key=KEY,
        chunk_size=BATCH,
        # As documented for servers that are not OpenAI's own: text, not tokens.
        check_embedding_ctx_length=False,
    )
    done = index(
        splitter.split_documents(loaded),
        records,
        _store(state, embeddings),
        cleanup=CLEANUP,
        source_id_key="source",
        key_encoder="sha256",
    )
    print(done)


def _load(folder: Path) -> list[Document]:
    lines: dict[str, Any] = {"jq_schema": ".text", "json_lines": True}
    return [
        *DirectoryLoader(
            str(folder),
            glob="**/*.txt",
            loader_cls=TextLoader,
            loader_kwargs={"encoding": "utf-8"},
        ).load(),
        *DirectoryLoader(
            str(folder),
            glob="**/*.jsonl",
            loader_cls=JSONLoader,
            loader_kwargs=lines,
        ).load(),
    ]


def passages(state: Path) -> Iterator[Passage]:
    """Read them from Chroma."""
    found = _store(state).get(include=["documents", "metadatas", "embeddings"])
    for text, metadata, vector in zip(
        found["documents"], found["metadatas"], found["embeddings"], strict=True
    ):
        yield metadata["source"], text, len(vector)


def empty(state: Path) -> None:
    """Empty the collection; the record manager is left."""
    _store(state).reset_collection()


def _store(state: Path, embeddings: OpenAIEmbeddings | None = None) -> Any:
    folder = str(state / "chroma")
    return Chroma("labs", embeddings, persist_directory=folder)


if __name__ == "__main__":
    run(ingest, passages, empty)
