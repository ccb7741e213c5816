"""Haystack: converter, splitter, embedder and writer; its in-memory store, saved.

https://docs.haystack.deepset.ai/docs/documentwriter
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from haystack import Pipeline
from haystack.components.converters import JSONConverter, TextFileToDocument
from haystack.components.embedders import OpenAIDocumentEmbedder
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret

from labs.experiments.torture.sides._commands import BATCH, KEY, MODEL, Passage, run

SAVED = "documents.json"
CONNECTIONS = (
    ("text", "joiner"),
    ("json", "joiner"),
    ("joiner", "splitter"),
    ("splitter", "embedder"),
    ("embedder", "writer"),
)


def ingest(folder: Path, state: Path, url: str) -> None:
    """Run the pipeline over the files, and save the store."""
    store = _store(state)
    sources = {
        "text": {"sources": sorted(folder.rglob("*.txt"))},
        "json": {"sources": sorted(folder.rglob("*.jsonl"))},
    }
    done = _pipeline(store, url).run(sources)
    store.save_to_disk(str(state / SAVED))
    print(done["writer"])


def _pipeline(store: InMemoryDocumentStore, url: str) -> Pipeline:
    embedder = OpenAIDocumentEmbedder(
        api_key=Secret.from_token(KEY),
        model=MODEL,
        api_base_url=url,
        batch_size=BATCH,
        progress_bar=False,
    )
    pipeline = Pipeline()
    pipeline.add_component("text", TextFileToDocument(store_full_path=True))
    pipeline.add_component(
        "json", JSONConverter(jq_schema=".", content_key="text", store_full_path=True)
    )
    pipeline.add_component("joiner", DocumentJoiner())
    pipeline.add_component(
        "splitter", DocumentSplitter(split_by="passage", split_length=1)
    )
    pipeline.add_component("embedder", embedder)
    pipeline.add_component(
        "writer", DocumentWriter(document_store=store, policy=DuplicatePolicy.OVERWRITE)
    )
    for one, other in CONNECTIONS:
        pipeline.connect(one, other)
    return pipeline


def passages(state: Path) -> Iterator[Passage]:
    """Read them from the saved store."""
    for document in _store(state).filter_documents():
        vector = document.embedding or []
        yield str(document.meta["file_path"]), document.content or "", len(vector)


def empty(state: Path) -> None:
    """Remove what was saved."""
    (state / SAVED).unlink()


def _store(state: Path) -> InMemoryDocumentStore:
    saved = state / SAVED
    if saved.exists():
        return InMemoryDocumentStore.load_from_disk(str(saved))
    return InMemoryDocumentStore()


if __name__ == "__main__":
    run(ingest, passages, empty)
