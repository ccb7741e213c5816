"""Float32 numbers as JSON."""

from __future__ import annotations

import math
import struct
from functools import lru_cache


def written(vector: bytes) -> str:
    """Write float32 numbers with the nine digits that tell any two of them apart.

    Raises:
        ValueError: a number is one that JSON cannot carry.

    >>> written(struct.pack("2f", 0.1, 2))
    '[0.100000001, 2]'
    """
    length = len(vector) // 4
    numbers = struct.unpack(f"{length}f", vector[: 4 * length])
    # A sum of float32 numbers cannot overflow a double: it is finite if they all are.
    if not math.isfinite(sum(numbers)):
        raise ValueError("a number is not finite")
    return _template(length) % numbers


@lru_cache(maxsize=4)
def _template(length: int) -> str:
    return "[" + ", ".join(["%.9g"] * length) + "]"
