"""Find stored passages: by vector, by words, or by both."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from aip_pipeline._canary import CANARY_TEXTS, CanaryCheck
from aip_pipeline._errors import ConfigError, EmbedderRefused, StoreError
from aip_pipeline.embedders import Embedder, open_embedder
from aip_pipeline.stores import Hit, Store, open_store, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Mode: TypeAlias = Literal["hybrid", "vector", "lexical"]
Ranked: TypeAlias = list[tuple[int, float]]

# Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and
# individual Rank Learning Methods", SIGIR 2009: k = 60.
RANK_CONSTANT = 60
MIN_CANDIDATES = 50


async def search(
    query: str,
    *,
    store: str = "sqlite:///aip.db",
    k: int = 10,
    mode: Mode = "hybrid",
    embedder: Embedder | None = None,
) -> list[Hit]:
    """Return the k passages that answer *query* best, best first.

    Args:
        query: a question or some words.
        store: URL of the store.
        k: most passages returned.
        mode: "vector" ranks by cosine, "lexical" by BM25, "hybrid" by both ranks.
        embedder: used instead of the one that made the store; of the same spec.

    Raises:
        StoreError: there is no such store, or nothing in it.
        TypeError, ValueError: an argument is of a wrong type, or out of range.
        ConfigError: the query is empty, or the store has no full text to search.
        SpaceMismatch: the embedder is not, or no longer, the one that made the store.
    """
    if not isinstance(query, str):
        raise TypeError(f"query must be a string, not {type(query).__name__}")
    if not isinstance(k, int):
        raise TypeError(f"k must be an integer, not {k!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be one of {get_args(Mode)}, not {mode!r}")
    if not query.strip():
        raise ConfigError("the query is empty: say what to look for")
    async with opened(open_store(store, create=False)) as used_store:
        spec, base_url = await asyncio.to_thread(used_store.embedder)
        lists: list[Ranked] = []
        candidates = k if mode != "hybrid" else max(MIN_CANDIDATES, 4 * k)
        if mode != "vector":
            lists.append(
                await asyncio.to_thread(used_store.by_words, query, k=candidates)
            )
        if mode != "lexical":
            used = embedder or open_embedder(spec, base_url=base_url)
            await asyncio.to_thread(used_store.check, spec=used.spec)
            lists.append(await _by_vector(query, used, used_store, k=candidates))
        ranked = lists[0] if len(lists) == 1 else fuse(lists)
        return await asyncio.to_thread(used_store.hits, ranked[:k])


async def _by_vector(query: str, embedder: Embedder, store: Store, *, k: int) -> Ranked:
    canary = CanaryCheck(embedder.spec)
    with suppress(StoreError):  # they are damaged: the next run says so, and mends it
        stored = await asyncio.to_thread(store.canaries)
        canary.load(stored, has_vectors=True)
    async with embedder:
        vector = await _embedded(query, embedder, canary)
    return await asyncio.to_thread(store.by_vector, vector.tobytes(), k=k)


async def _embedded(
    query: str, embedder: Embedder, canary: CanaryCheck
) -> NDArray[np.float32]:
    """Embed a query, and with it, in one request, what tells whether it can compare."""
    if canary.comparable:
        with suppress(EmbedderRefused):  # a server may take one text at a time only
            array = await embedder.embed([*CANARY_TEXTS, query])
            canary.check(array[:-1])
            return array[-1:]
    return await embedder.embed([query])


def fuse(lists: Sequence[Ranked]) -> Ranked:
    """Merge rankings by reciprocal rank: what several lists rank high comes first.

    Of equals, those of an earlier list come first: hybrid search names words before
    vectors, for words are found or not, and some vector is always nearest.

    >>> fuse([[(7, 0.9), (8, 0.8)], [(8, 12.0), (9, 3.0)]])[0][0]
    8
    >>> [chunk for chunk, _ in fuse([[(9, 2.0)], [(7, 0.9)]])]
    [9, 7]
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranked in lists:
        for rank, (chunk, _) in enumerate(ranked, start=1):
            scores[chunk] += 1 / (RANK_CONSTANT + rank)
    return sorted(scores.items(), key=lambda pair: -pair[1])
