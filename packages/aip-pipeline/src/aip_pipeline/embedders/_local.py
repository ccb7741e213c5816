"""The default embedder: in this process, offline, without a key.

The `wordllama` distribution carries a table of 32,000 token vectors and the
tokenizer that goes with it. A text's vector is the mean of its tokens' rows, made
unit length. Only the two files are used; wordllama's own code is never imported.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from aip_pipeline._errors import ConfigError, EmbedderRefused
from aip_pipeline.embedders._protocol import BatchProfile, Usage
from aip_pipeline.embedders._spec import Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL: Final = "l2_supercat"
WEIGHTS: Final = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER: Final = Path("tokenizers", "l2_supercat_tokenizer_config.json")
# The table was trained so that its leading columns stand for themselves.
DIMENSIONS: Final = (64, 128, 256)
# The tokenizer itself spreads a batch over the cores: a second thread only
# fills the moments in which the first one adds rows up.
THREADS: Final = 2
# Rows gathered at once: bounds the copy to 4 MiB however long the text is.
ROWS: Final = 4096


class LocalEmbedder:
    """Embed in this process with the vectors that the `wordllama` wheel carries.

    A text without a token (the empty one) gets the zero vector, which resembles
    nothing. Holds the table (32 MiB) and the tokenizer between enter and exit.

    Args:
        spec: ``local``, with 64, 128 or 256 dimensions.

    Raises:
        ConfigError: no such model or length; on entering, the files are missing.
    """

    def __init__(self, spec: Spec) -> None:
        if spec.model not in {"", MODEL}:
            raise ConfigError(
                f"the local embedder has one model: write 'local', not "
                f"{spec.written()!r}"
            )
        if spec.dimensions is not None and spec.dimensions not in DIMENSIONS:
            raise ConfigError(
                f"the local embedder makes vectors of 64, 128 or 256 dimensions, "
                f"not {spec.dimensions}"
            )
        if spec.prefix:
            raise ConfigError("the local embedder takes no prefix")
        shortened = None if spec.dimensions == DIMENSIONS[-1] else spec.dimensions
        self._spec = Spec(provider="local", model=MODEL, dimensions=shortened)
        self._dimensions = spec.dimensions or DIMENSIONS[-1]
        self._usage = Usage()
        self._threads: ThreadPoolExecutor | None = None
        self._model: _Model | None = None

    @property
    def spec(self) -> str:
        """The vector space's name."""
        return self._spec.written()

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._dimensions

    @property
    def profile(self) -> BatchProfile:
        """Bounds that keep one call under about 0.2 s of one core."""
        return BatchProfile(
            max_texts=1024, max_tokens=1 << 18, max_bytes=1 << 20, bytes_per_token=4
        )

    @property
    def max_in_flight(self) -> int:
        """As many calls as there are threads."""
        return THREADS

    @property
    def usage(self) -> Usage:
        """Texts and tokens so far; no request is ever made."""
        return self._usage

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed *texts* on a thread of its own; the event loop stays free.

        Raises:
            EmbedderRefused: a text holds a lone surrogate, so it is not Unicode.
        """
        if self._threads is None or self._model is None:
            raise RuntimeError("the local embedder is not open: use 'async with'")
        loop = asyncio.get_running_loop()
        batch = list(texts)
        work = loop.run_in_executor(self._threads, self._model.embed, batch)
        vectors, tokens = await work
        self._usage.texts += len(batch)
        self._usage.tokens += tokens
        return vectors

    async def __aenter__(self) -> Self:
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aip-local")
        try:
            loop = asyncio.get_running_loop()
            self._model = await loop.run_in_executor(threads, _Model, self._dimensions)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        self._threads = threads
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        threads, self._threads, self._model = self._threads, None, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


class _Model:
    """Hold the tokenizer and the table of token vectors; safe to share by threads."""

    def __init__(self, dimensions: int) -> None:
        folder = _folder()
        weights, tokenizer = folder / WEIGHTS, folder / TOKENIZER
        for path in (weights, tokenizer):
            if not path.is_file():
                raise ConfigError(f"{path} is missing: reinstall wordllama")
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        with safe_open(str(weights), framework="np") as tensors:
            table = tensors.get_tensor("embedding.weight")
        self._table: NDArray[np.float32] = np.ascontiguousarray(
            table[:, :dimensions], dtype=np.float32
        )

    def embed(self, texts: list[str]) -> tuple[NDArray[np.float32], int]:
        """Return unit vectors and the count of tokens."""
        out = np.zeros((len(texts), self._table.shape[1]), np.float32)
        tokens = 0
        for out_row, ids in zip(out, self._tokenize(texts), strict=True):
            tokens += len(ids)
            for at in range(0, len(ids), ROWS):
                rows = self._table.take(ids[at : at + ROWS], axis=0)
                np.add(out_row, rows.sum(axis=0), out=out_row)
        # A mean and a sum point the same way, and unit length is all that is kept.
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, lengths, out=out, where=lengths > 0)
        return out, tokens

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        try:
            encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError as error:
            reason = "a text holds a lone surrogate, which no encoding can carry"
            raise EmbedderRefused(
                f"the local embedder refused a text: {reason}",
                status=422,
                reason=reason,
            ) from error
        return [encoding.ids for encoding in encoded]


def _folder() -> Path:
    """Find the wordllama package without importing it.

    Raises:
        ConfigError: it is not installed.
    """
    found = importlib.util.find_spec("wordllama")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            "the local embedder needs the wordllama package: pip install wordllama"
        )
    return Path(next(iter(found.submodule_search_locations)))
