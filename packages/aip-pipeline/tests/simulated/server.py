"""An OpenAI-compatible server without a wire, that fails, lies and counts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from openai_server import vector

from aip_httpclient.testing import FaultModel, Faults, ModelClient
from aip_pipeline._canary import CANARY_TEXTS
from aip_pipeline.embedders import BatchProfile, Usage, _openai
from aip_pipeline.embedders._endpoint import Endpoint
from aip_pipeline.embedders._spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSIONS = 8
POISON = "POISON"
LIES = ("shuffled", "missing", "index", "html", "truncated", "shorter")


@cache
def coded(text: str) -> str:
    """Return the one right vector of a text, as it goes over the wire."""
    return b64encode(vector(text, DIMENSIONS).astype("<f4").tobytes()).decode()


@cache
def plain(text: str) -> list[float]:
    """Return the same vector as numbers."""
    return [float(number) for number in vector(text, DIMENSIONS)]


class Server:
    """Answer as *faults* say, and wrongly in a share of the answers."""

    def __init__(
        self, faults: Faults, *, lies: float = 0.0, base64: bool = True
    ) -> None:
        self.model = FaultModel(faults)
        self._lies = lies
        self._base64 = base64
        self._random = Random(faults.seed + 1)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Embed what is asked for, if the model can take it."""
        asked = json.loads(body)
        if not self._base64 and "encoding_format" in asked:
            return 400, b'{"error": {"message": "Unknown parameter"}}'
        texts = asked["input"]
        if any(POISON in text for text in texts):
            return 400, b'{"error": {"message": "it holds what I cannot take"}}'
        return 200, self._body(self._items(texts), asked)

    def _items(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"index": index, "embedding": coded(text) if self._base64 else plain(text)}
            for index, text in enumerate(texts)
        ]

    def _body(self, items: list[dict[str, Any]], asked: dict[str, Any]) -> bytes:
        lies = self._random.random() < self._lies
        lie = self._random.choice(LIES) if lies else ""
        if lie == "shuffled":
            self._random.shuffle(items)
        if lie == "missing":
            items.pop()
        if lie == "index":
            items[-1]["index"] += 1
        if lie == "shorter":
            items[-1]["embedding"] = items[-1]["embedding"][:16]
        usage = {"prompt_tokens": sum(map(len, asked["input"])) // 4}
        body = json.dumps({"data": items, "usage": usage}).encode()
        if lie == "html":
            return b"<html>Sign in</html>"
        return body[: len(body) // 2] if lie == "truncated" else body


class Asked:
    """The real embedder over a simulated server; it remembers what was asked.

    Attributes:
        given: texts whose vectors were handed to the run, how often.
        in_flight: texts asked for and not answered.
    """

    def __init__(
        self, server: Server, *, seed: int, concurrency: Any, spec: str = "openai:test"
    ) -> None:
        endpoint = Endpoint(base_url="http://model/v1", concurrency=concurrency)
        self._embedder = _openai.OpenAIEmbedder(Spec.parse(spec), endpoint=endpoint)
        self._server = server
        self._seed = seed
        self.given: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()

    @property
    def spec(self) -> str:
        return self._embedder.spec

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def profile(self) -> BatchProfile:
        return self._embedder.profile

    @property
    def max_in_flight(self) -> int:
        return self._embedder.max_in_flight

    @property
    def usage(self) -> Usage:
        return self._embedder.usage

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        wanted = [text for text in texts if text not in CANARY_TEXTS]
        self.in_flight.update(wanted)
        try:
            array = await self._embedder.embed(texts)
        finally:
            self.in_flight.subtract(wanted)
        self.given.update(wanted)
        return array

    async def __aenter__(self) -> Self:
        def client(**settings: Any) -> ModelClient:
            server = self._server
            return ModelClient(
                model=server.model, answer=server.answer, seed=self._seed, **settings
            )

        with patch.object(_openai, "AsyncHttpClient", client):
            await self._embedder.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self._embedder.__aexit__(exc_type, exc, traceback)
