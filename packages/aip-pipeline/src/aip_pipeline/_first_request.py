"""The first request of a run: the canaries go with it, or before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.embedders import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


async def embed_first(
    embedder: Embedder,
    texts: list[str],
    *,
    room: int,
    check: Callable[[NDArray[np.float32]], None],
) -> NDArray[np.float32]:
    """Embed the canaries, then *texts*, in one request where there is room for both.

    Args:
        embedder: asked for both.
        texts: the first ones of a run; may be none.
        room: texts that one request may hold.
        check: called with the canaries' vectors, before any other text is sent alone.
    """
    n_canaries = len(CANARY_TEXTS)
    if room >= n_canaries + len(texts):
        array = await embedder.embed([*CANARY_TEXTS, *texts])
        check(array[:n_canaries])
        return array[n_canaries:]
    import numpy as np  # noqa: PLC0415  # `aip --version` does without

    step = min(room, n_canaries)
    slices = [CANARY_TEXTS[at : at + step] for at in range(0, n_canaries, step)]
    array = np.concatenate([await embedder.embed(some) for some in slices])
    check(array)
    if not texts:
        return array[:0]
    return await embedder.embed(texts)
