"""Three fixed texts whose vectors tell whether the embedder is still the same."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple

from aip_pipeline._errors import SpaceMismatch, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANARY_TEXTS = (
    "The cat sat by the window and watched the rain.",
    "def area(radius): return 3.14159 * radius ** 2",
    "Der Zug nach Basel fährt um 7.45 Uhr von Gleis 3.",
)
CANARY_BYTES = sum(len(text.encode()) for text in CANARY_TEXTS)
# One model answers a little differently on other hardware or in another batch; two
# models of equal dimensions do not come near this.
MIN_COSINE = 0.99
_BELIEVED = ", so none is sound: once marked, the next run's model is believed"


class StoredCanaries(NamedTuple):
    """Hold what a store's canaries are worth.

    Attributes:
        sound: the vectors that can be compared with.
        marked: whether a repair took out the others: the next run makes all anew.
        fault: what is wrong with them.
    """

    sound: list[bytes]
    marked: bool
    fault: str | None

    def repaired(self) -> str:
        """Return what to store: the sound ones, and null for each of the others."""
        kept = [base64.b64encode(one).decode() for one in self.sound]
        return json.dumps([*kept, *[None] * len(CANARY_TEXTS)][: len(CANARY_TEXTS)])


class CanaryCheck:
    """Compare the embedder of this run with the one that made the store.

    A server may answer under the same name with another model; the spec cannot tell,
    three vectors can. They ride along with the first batch and cost no request.

    Args:
        spec: the embedder's spec, for the message.

    Attributes:
        passed: whether this run's canaries were compared, or are the first.
        lacking: whether a repair asks for new ones, even if nothing else is embedded;
            those it left are compared all the same.
    """

    def __init__(self, spec: str) -> None:
        self.passed = False
        self.lacking = False
        self._spec = spec
        self._stored: NDArray[np.float32] | None = None

    @property
    def comparable(self) -> bool:
        """Whether there is anything to compare with."""
        return self._stored is not None

    def load(self, stored: str | None, *, has_vectors: bool) -> None:
        """Take what the store holds; one without vectors cannot be mixed with others.

        Raises:
            StoreError: the canaries are damaged.
        """
        if not has_vectors:
            return
        found = read_canaries(stored)
        if found.fault and not found.marked:
            raise StoreError(
                f"the store's canaries are damaged ({found.fault}), so a swapped model "
                "would not be found: run `aip verify --repair`, then ingest again"
            )
        self.lacking = found.marked
        if found.sound:
            import numpy as np  # noqa: PLC0415  # only a run needs it

            rows = [np.frombuffer(one, np.float32) for one in found.sound]
            self._stored = np.stack(rows)

    def check(self, vectors: NDArray[np.float32]) -> str | None:
        """Compare this run's canaries; return what to store, where any were missing.

        Raises:
            SpaceMismatch: the vectors are another model's.
        """
        if self._stored is not None:
            cosine = _least_cosine(self._stored, vectors)
            if not cosine >= MIN_COSINE:  # nor is NaN
                raise SpaceMismatch(
                    f"the embedder {self._spec!r} is no longer the one that made this "
                    f"store: its vectors of {len(CANARY_TEXTS)} fixed texts have "
                    f"changed (cosine {cosine:.3f}): use the model of before, or a new "
                    "store with --store",
                    stored=self._spec,
                    asked=self._spec,
                )
        self.passed = True
        if self._stored is not None and not self.lacking:
            return None
        return json.dumps([base64.b64encode(row.tobytes()).decode() for row in vectors])


def read_canaries(stored: str | None, *, n_bytes: int | None = None) -> StoredCanaries:
    """Read a store's canaries.

    Args:
        stored: as they lie in the store.
        n_bytes: of each vector in the store; None to take the longest for whole.
    """
    try:
        found = _decoded(stored)
    except ValueError:
        what = "there are none" if stored is None else "they are not a list"
        return StoredCanaries([], marked=False, fault=what + _BELIEVED)
    kept = [one for one in found if one is not None]
    n_bytes = n_bytes or max([4, *map(len, kept)]) // 4 * 4
    faults = [_fault(one, n_bytes) for one in kept]
    sound = [one for one, what in zip(kept, faults, strict=True) if what is None]
    fault = next(filter(None, faults), None)
    marked = fault is None and len(kept) < len(found) == len(CANARY_TEXTS)
    if fault is None and len(kept) != len(CANARY_TEXTS):
        fault = f"there are {len(kept)} instead of {len(CANARY_TEXTS)}"
    if fault is not None and not sound:
        fault += _BELIEVED
    return StoredCanaries(sound, marked, fault)


def _decoded(stored: str | None) -> list[bytes | None]:
    """Read canaries: None is one that a repair took out, b"" one that is no base64.

    Raises:
        ValueError: they are no list.
    """
    found = json.loads(stored or "")
    if not isinstance(found, list):
        raise ValueError("not a list")  # noqa: TRY004  # the caller catches one kind
    return [None if one is None else _bytes(one) for one in found]


def _bytes(one: object) -> bytes:
    try:
        return base64.b64decode(one, validate=True) if isinstance(one, str) else b""
    except ValueError:
        return b""


def _fault(one: bytes, n_bytes: int) -> str | None:
    import numpy as np  # noqa: PLC0415  # as above

    if not one:
        return "one is not base64"
    if len(one) != n_bytes:
        return f"one has {len(one)} bytes instead of {n_bytes}"
    if not np.isfinite(np.frombuffer(one, np.float32)).all():
        return "one has numbers that are not finite"
    return None


def _least_cosine(stored: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Compare each with its own; where some are missing, with the nearest."""
    if stored.shape[1] != found.shape[1]:
        return 0.0
    norms = ((stored**2).sum(axis=1)[:, None] * (found**2).sum(axis=1)) ** 0.5
    cosines = stored @ found.T / norms.clip(min=1e-12)
    own = cosines.diagonal() if len(stored) == len(found) else cosines.max(axis=1)
    return float(own.min())
