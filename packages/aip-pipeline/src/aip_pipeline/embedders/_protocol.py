"""What the pipeline asks of an embedder, and what an embedder says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:  # numpy costs 0.1 s to import: only the opened embedder pays
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProfile:
    """Say how much one request may hold; a batch stops at the first bound.

    Args:
        max_texts: texts in one request.
        max_tokens: tokens in one request, as estimated by `estimate_tokens`.
        max_bytes: UTF-8 bytes of all texts in one request.
        bytes_per_token: the guess behind `estimate_tokens`; the server's own
            count (`Usage.tokens`) is what was really used.
    """

    max_texts: int
    max_tokens: int
    max_bytes: int
    bytes_per_token: float = 4.0

    def __post_init__(self) -> None:
        for name in ("max_texts", "max_tokens", "max_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        if not self.bytes_per_token > 0:
            raise ValueError(f"bytes_per_token must be > 0, not {self.bytes_per_token}")

    def estimate_tokens(self, n_bytes: int) -> int:
        """Guess the tokens in *n_bytes* of UTF-8 text, rounded up.

        >>> BatchProfile(max_texts=64, max_tokens=8, max_bytes=99).estimate_tokens(9)
        3
        """
        return -int(-n_bytes // self.bytes_per_token)


@dataclass(slots=True)
class Usage:
    """Count what an embedder has spent so far; it only grows.

    Args:
        requests: requests sent, the retried ones included (0 for `local`).
        retries: requests sent again, a part of `requests`.
        tokens: tokens embedded, as the server or the tokenizer counted them.
        texts: texts embedded.
    """

    requests: int = 0
    retries: int = 0
    tokens: int = 0
    texts: int = 0


class Embedder(Protocol):
    """Turn texts into vectors; open it with ``async with``, then call `embed`.

    Attributes:
        spec: names the vector space, for ever: provider, model, and, where
            declared, dimensions and prefix. Equal specs make comparable vectors,
            and `open_embedder` accepts it back.
        dimensions: length of a vector; None until it is known.
        profile: how much one call of `embed` may be given.
        max_in_flight: how many calls of `embed` may usefully run at once.
        usage: what was spent so far.
    """

    @property
    def spec(self) -> str: ...

    @property
    def dimensions(self) -> int | None: ...

    @property
    def profile(self) -> BatchProfile: ...

    @property
    def max_in_flight(self) -> int: ...

    @property
    def usage(self) -> Usage: ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed *texts* into an array of shape (len(texts), dimensions), in order.

        Raises:
            EmbedderUnavailable: no usable answer came within the deadline.
            EmbedderDenied: the key, model or address is not accepted.
            EmbedderRefused: the texts are not accepted; a smaller batch may be.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
