"""The bodies of the OpenAI-compatible ``POST /embeddings``.

Shapes: the API reference's "Create embeddings". Vectors are asked for as base64
of little-endian float32, a quarter of the bytes of JSON numbers and hundredfold
faster to read; lists of numbers are read too, for servers that know only those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from aip_pipeline._json import decode as read_json, encode
from aip_pipeline.embedders._base64 import from_base64

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FLOAT_BYTES = 4


class BadAnswer(Exception):  # never leaves the package
    """Report a 200 whose body is not what was asked for: the server's fault."""


class NotFinite(BadAnswer):
    """Report NaN or infinity in a vector: some text is too much for the model."""


class ZeroVector(BadAnswer):
    """Report a vector without a direction: it is near to no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request's body, as far as it does not change between batches."""

    model: str
    dimensions: int | None
    prefix: str
    base64: bool

    def encode(self, texts: Sequence[str]) -> bytes:
        """Write the body.

        Raises:
            UnicodeEncodeError: a text holds a lone surrogate.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "input": [self.prefix + text for text in texts] if self.prefix else texts,
        }
        if self.base64:
            body["encoding_format"] = "base64"
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        return encode(body)


def decode(
    body: bytes, *, count: int, dimensions: int | None
) -> tuple[NDArray[np.float32], int]:
    """Read an answer into (count, dimensions) float32, and the tokens it reports.

    Args:
        body: the answer's body.
        count: texts that were sent.
        dimensions: the length every vector must have; None takes the first's.

    Raises:
        BadAnswer: not JSON, or the wrong count, index or length.
        NotFinite: NaN or infinity in a vector.
        ZeroVector: nothing but zeros in a vector.
    """
    try:
        answer = read_json(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"body is not JSON: {_shortened(body)}") from error
    items = _in_order(answer, count=count)
    rows = [_floats(item.get("embedding"), row=row) for row, item in enumerate(items)]
    if not rows:
        raise BadAnswer("no vector in the answer")
    wanted = len(rows[0]) if dimensions is None else dimensions * FLOAT_BYTES
    for row, raw in enumerate(rows):
        if len(raw) != wanted or not wanted:
            raise BadAnswer(
                f"vector {row} has {len(raw) // FLOAT_BYTES} dimensions instead of "
                f"{wanted // FLOAT_BYTES}"
            )
    # Not before the first request: it takes 0.1 s. Nor in a thread: what it allocates
    # there would come out of another arena, 4 MiB more in all.
    import numpy as np  # noqa: PLC0415

    vectors = np.frombuffer(b"".join(rows), "<f4").reshape(count, -1)
    _check_comparable(vectors)
    return vectors, _tokens(answer)


def _check_comparable(vectors: NDArray[np.float32]) -> None:
    """Refuse what no search could ever find, in one pass over ordinary vectors."""
    import numpy as np  # noqa: PLC0415  # as above

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.vecdot(vectors, vectors)
        if squares.min() > 0 and squares.max() < inf:
            return  # what is not finite has no finite square
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = len(vectors) - int(finite.sum())
        raise NotFinite(f"NaN or infinity in {bad} of {len(vectors)} vectors")
    if zeros := len(vectors) - np.count_nonzero(squares):
        raise ZeroVector(f"nothing but zeros in {zeros} of {len(vectors)} vectors")


def nothing(*, dimensions: int) -> NDArray[np.float32]:
    """Return the vectors of no texts."""
    import numpy as np  # noqa: PLC0415  # as above

    return np.empty((0, dimensions), np.float32)


def _in_order(answer: Any, *, count: int) -> list[dict[str, Any]]:
    """Return the items of *answer* by their index; each must be there once."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise BadAnswer("no list 'data' of vectors in the answer")
    if len(data) != count:
        raise BadAnswer(f"{len(data)} vectors for {count} texts")
    ordered: list[dict[str, Any] | None] = [None] * count
    for item in data:
        at = item.get("index")
        if type(at) is not int or not 0 <= at < count or ordered[at] is not None:
            raise BadAnswer(f"the indices are not 0 to {count - 1}, each once")
        ordered[at] = item
    return [item for item in ordered if item is not None]


def _floats(embedding: Any, *, row: int) -> bytes:
    """Read one vector: base64 of float32, or a list of numbers (null is NaN)."""
    try:
        if isinstance(embedding, str):
            raw = from_base64(embedding)
            if len(raw) % FLOAT_BYTES:
                raise BadAnswer(f"vector {row} is not whole: {len(raw)} bytes")
            return raw
        if isinstance(embedding, list):
            import numpy as np  # noqa: PLC0415  # as above

            with np.errstate(over="ignore"):  # to infinity, which is then refused
                numbers = np.array(embedding, "<f4")
            if numbers.ndim == 1:
                return numbers.tobytes()
    except (TypeError, ValueError, OverflowError) as error:
        raise BadAnswer(f"vector {row} cannot be read: {error}") from error
    raise BadAnswer(f"vector {row} is neither base64 nor a list of numbers")


def _tokens(answer: dict[str, Any]) -> int:
    """Return the tokens the server counted, 0 where it does not say."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return 0
    for name in ("prompt_tokens", "total_tokens"):
        value = usage.get(name)
        if type(value) is int and value > 0:
            return value
    return 0


def _shortened(body: bytes) -> str:
    shown = " ".join(body[:80].decode("utf-8", "replace").split())
    return repr(shown) + ("..." if len(body) > 80 else "")  # noqa: PLR2004  # as above
