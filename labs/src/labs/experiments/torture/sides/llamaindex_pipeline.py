"""LlamaIndex: `IngestionPipeline` with a document store, and Chroma as its store.

https://developers.llamaindex.ai/python/framework/module_guides/loading/ingestion_pipeline
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.readers.json import JSONReader
from llama_index.vector_stores.chroma import ChromaVectorStore

from labs.experiments.torture.sides._commands import BATCH, KEY, MODEL, Passage, run

# About as many characters as the others take.
CHUNK_TOKENS, OVERLAP_TOKENS = 256, 20


def ingest(folder: Path, state: Path, url: str) -> None:
    """Read the files and run the pipeline, then persist what it remembers."""
    documents = SimpleDirectoryReader(
        str(folder),
        filename_as_id=True,
        file_extractor={".jsonl": JSONReader(is_jsonl=True)},
    ).load_data()
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=OVERLAP_TOKENS),
            OpenAIEmbedding(
                model_name=MODEL, api_base=url, api_key=KEY, embed_batch_size=BATCH
            ),
        ],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=ChromaVectorStore(chroma_collection=_collection(state)),
    )
    remembered = state / "pipeline"
    if remembered.exists():
        pipeline.load(str(remembered))
    nodes = asyncio.run(pipeline.arun(documents=documents))
    pipeline.persist(str(remembered))
    print(f"Ingested {len(nodes)} nodes")


def passages(state: Path) -> Iterator[Passage]:
    """Read them from Chroma."""
    found = _collection(state).get(include=["documents", "metadatas", "embeddings"])
    for text, metadata, vector in zip(
        found["documents"], found["metadatas"], found["embeddings"], strict=True
    ):
        yield metadata["file_path"], text, len(vector)


def empty(state: Path) -> None:
    """Empty the collection; the document store is left."""
    client = chromadb.PersistentClient(str(state / "chroma"))
    client.delete_collection("labs")


def _collection(state: Path) -> Any:
    client = chromadb.PersistentClient(str(state / "chroma"))
    return client.get_or_create_collection("labs")


if __name__ == "__main__":
    run(ingest, passages, empty)
