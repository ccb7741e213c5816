"""Three fixed texts whose vectors tell whether the embedder is still the same."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from aip_pipeline._errors import SpaceMismatch

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


class CanaryCheck:
    """Compare the embedder of this run with the one that made the store.

    A server may answer under the same name with another model; the spec cannot tell,
    three vectors can. They ride along with the first batch and cost no request.

    Args:
        spec: the embedder's spec, for the message.
    """

    def __init__(self, spec: str) -> None:
        self.passed = False
        self._spec = spec
        self._stored: NDArray[np.float32] | None = None

    def load(self, stored: str | None) -> None:
        """Take what the store holds, if it holds any."""
        if stored is not None:
            import numpy as np  # noqa: PLC0415  # only a run needs it

            raw = [base64.b64decode(one) for one in json.loads(stored)]
            self._stored = np.stack([np.frombuffer(one, np.float32) for one in raw])

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


def _least_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    if left.shape != right.shape:
        return 0.0
    dots = (left * right).sum(axis=1)
    norms = ((left**2).sum(axis=1) * (right**2).sum(axis=1)) ** 0.5
    return float((dots / norms.clip(min=1e-12)).min())
