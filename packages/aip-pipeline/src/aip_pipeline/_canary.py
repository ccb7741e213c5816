"""Three fixed texts whose vectors tell whether the embedder is still the same."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from aip_pipeline._errors import SpaceMismatch, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANARY_TEXTS = (
    "The cat sat by the window and watched the rain.",
    "def area(radius): return 3.14159 * radius ** 2",
    "Der Zug nach Basel fährt um 7.45 Uhr von Gleis 3.",
)
# One model answers a little differently on other hardware or in another batch; two
# models of equal dimensions do not come near this.
MIN_COSINE = 0.99
# What a repair leaves in place of canaries that are damaged: the next run makes others.
MARKED = "[]"


class CanaryCheck:
    """Compare the embedder of this run with the one that made the store.

    A server may answer under the same name with another model; the spec cannot tell,
    three vectors can. They ride along with the first batch and cost no request.

    Args:
        spec: the embedder's spec, for the message.

    Attributes:
        passed: whether this run's canaries were compared, or are the first.
        lacking: whether a repair asks for new ones, even if nothing else is embedded.
    """

    def __init__(self, spec: str) -> None:
        self.passed = False
        self.lacking = False
        self._spec = spec
        self._stored: NDArray[np.float32] | None = None

    def load(self, stored: str | None) -> None:
        """Take what the store holds, if it holds any.

        Raises:
            StoreError: the canaries are damaged.
        """
        self.lacking = stored == MARKED
        if stored is None or self.lacking:
            return
        import numpy as np  # noqa: PLC0415  # only a run needs it

        try:
            raw = _decoded(stored)
            self._stored = np.stack([np.frombuffer(one, np.float32) for one in raw])
        except ValueError as error:
            raise StoreError(
                "the store's canaries are damaged, so a swapped model would not be "
                "found: run `aip verify --repair`, then ingest again"
            ) from error

    def check(self, vectors: NDArray[np.float32]) -> str | None:
        """Compare this run's canaries; return what to store, where nothing was.

        Raises:
            SpaceMismatch: the vectors are another model's.
        """
        if self._stored is None:
            rows = (base64.b64encode(row.tobytes()).decode() for row in vectors)
            self.passed = True
            return json.dumps(list(rows))
        cosine = _least_cosine(self._stored, vectors)
        if cosine < MIN_COSINE:
            raise SpaceMismatch(
                f"the embedder {self._spec!r} is no longer the one that made this "
                f"store: its vectors of {len(CANARY_TEXTS)} fixed texts have changed "
                f"(cosine {cosine:.3f}): use the model of before, or a new store with "
                "--store",
                stored=self._spec,
                asked=self._spec,
            )
        self.passed = True
        return None


def canary_fault(stored: str | None, *, n_bytes: int) -> str | None:
    """Say what is wrong with a store's canaries, whose vectors have *n_bytes* each."""
    if stored in (None, MARKED):
        return "there are none, so a swapped model would not be found"
    import numpy as np  # noqa: PLC0415  # as above

    try:
        raw = _decoded(stored)
    except ValueError:
        return "they are not a list of base64"
    if len(raw) != len(CANARY_TEXTS):
        return f"there are {len(raw)} instead of {len(CANARY_TEXTS)}"
    for one in raw:
        if len(one) != n_bytes:
            return f"one has {len(one)} bytes instead of {n_bytes}"
        if not np.isfinite(np.frombuffer(one, np.float32)).all():
            return "one has numbers that are not finite"
    return None


def _decoded(stored: str) -> list[bytes]:
    """Read canaries.

    Raises:
        ValueError: they are not as they were written.
    """
    found = json.loads(stored)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("not a list of strings")
    return [base64.b64decode(one, validate=True) for one in found]


def _least_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    if left.shape != right.shape:
        return 0.0
    dots = (left * right).sum(axis=1)
    norms = ((left**2).sum(axis=1) * (right**2).sum(axis=1)) ** 0.5
    return float((dots / norms.clip(min=1e-12)).min())
