"""Any server with an OpenAI-compatible ``POST /embeddings``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from aip_httpclient import (
    AsyncHttpClient,
    AttemptTimeout,
    CallError,
    Rate,
    Retry,
    Stats,
)
from aip_pipeline._errors import (
    ConfigError,
    EmbedderDenied,
    EmbedderError,
    EmbedderRefused,
    EmbedderUnavailable,
)
from aip_pipeline.embedders._endpoint import Endpoint
from aip_pipeline.embedders._patience import Patience
from aip_pipeline.embedders._protocol import BatchProfile, Usage
from aip_pipeline.embedders._spec import Spec
from aip_pipeline.embedders._translate import CHOKED, asked_to_wait, chokes, translated
from aip_pipeline.embedders._wire import (
    BadAnswer,
    NotFinite,
    Question,
    ZeroVector,
    decode,
    nothing,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tenacity import RetryCallState

# The vendor's limits per request; a server with lower ones answers 413 or 422.
PROFILE: Final = BatchProfile(max_texts=2048, max_tokens=300_000, max_bytes=1 << 20)
ADAPTIVE_IN_FLIGHT: Final = 32
FIRST_DEADLINE_S: Final = 15.0
# With the client's backoff: 30 s for a server that has answered before, 3 s for one
# that has not, and 3 s of 500s until harmless texts tell whether the texts are bad.
ATTEMPTS: Final = 12
FEW_ATTEMPTS: Final = 6
# A hung request is likely answered at the second try; a slow one needs more time.
HURRIED_ATTEMPTS: Final = 2
# So often 3 s of 500s from a server that harmless texts do not pass either.
ROUNDS: Final = 8
# A 200 whose body is broken is asked again at once, so often in all.
ASKS: Final = 3
PROBE: Final = ("a",)
# So many in a row pass a well server, and hardly one that answers 500 at random.
PROBES: Final = 3
_PERHAPS_SETTINGS: Final = frozenset({400, 422})
# One text of the vendor's largest size says enough about bytes per token.
_LEARN_FROM_TOKENS: Final = 8192


class OpenAIEmbedder:
    """Embed over HTTP; retries, pace and slots are the HTTP client's.

    The first request goes alone and has 15 s, so that a dead server or a wrong
    key is known in seconds; the others wait for it. A busy server (429, or any
    Retry-After) is alive, and is waited for like later on. The vectors are what the
    server sends, of whatever length.

    Args:
        spec: the model, and dimensions and prefix where declared.
        endpoint: the server.

    Raises:
        ConfigError: dimensions below 1.
    """

    def __init__(self, spec: Spec, *, endpoint: Endpoint) -> None:
        if spec.dimensions is not None and spec.dimensions < 1:
            raise ConfigError(f"dimensions must be at least 1, not {spec.dimensions}")
        self._spec = spec
        self._endpoint = endpoint
        self._dimensions = spec.dimensions
        self._question = Question(
            model=spec.model,
            dimensions=spec.dimensions,
            prefix=spec.prefix,
            base64=True,
        )
        self._client: AsyncHttpClient | None = None
        self._usage = Usage()
        self._asked_again = 0
        self._bytes = 0
        self._door = asyncio.Lock()
        self._proven = False
        self._patience = Patience()
        self._failures = 0
        self._failure: EmbedderError | None = None

    @property
    def spec(self) -> str:
        """The vector space's name; the address is no part of it."""
        return self._spec.written()

    @property
    def dimensions(self) -> int | None:
        """Length of a vector: as declared, else as first answered."""
        return self._dimensions

    @property
    def profile(self) -> BatchProfile:
        """The vendor's bounds, with the bytes per token seen so far."""
        if self._usage.tokens < _LEARN_FROM_TOKENS:
            return PROFILE
        ratio = min(8.0, max(1.0, self._bytes / self._usage.tokens))
        return replace(PROFILE, bytes_per_token=ratio)

    @property
    def max_in_flight(self) -> int:
        """The concurrency, or, where that adapts, its ceiling."""
        concurrency = self._endpoint.concurrency
        return ADAPTIVE_IN_FLIGHT if concurrency == "adaptive" else concurrency

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        if self._client is not None:
            self._usage.requests = self._client.sent
            self._usage.retries = self._client.retries + self._asked_again
        return self._usage

    @property
    def stats(self) -> Stats | None:
        """What the HTTP client sees of itself; None while it is closed."""
        return None if self._client is None else self._client.stats

    @property
    def expects_answer(self) -> bool:
        """Whether a request is under way that does more than probe an outage."""
        stats = self.stats
        return stats is not None and stats.in_flight > stats.probes

    @property
    def waits_for(self) -> str:
        """What requests wait for at the moment."""
        stats = self.stats
        if stats is None or not stats.queued:
            return "answers"
        if stats.outage:
            return "a server that is down"
        slots_free = stats.in_flight < int(stats.limit)
        return self._endpoint.pace if slots_free else "a busy server"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed *texts*.

        Raises:
            EmbedderUnavailable: no usable answer came within the deadline.
            EmbedderDenied: the key, model or address is not accepted.
            EmbedderRefused: the texts are not accepted; a smaller batch may be.
        """
        batch = list(texts)
        if not batch:
            return nothing(dimensions=self._dimensions or 0)
        if not self._proven:
            first = await self._knock(batch)
            if first is not None:
                return first
        return await self._ask(batch, deadline_s=self._endpoint.deadline_s)

    async def __aenter__(self) -> Self:
        end = self._endpoint
        limited = end.rpm is not None or end.tpm is not None
        client = AsyncHttpClient(
            base_url=end.base_url,
            headers=end.headers,
            concurrency=end.concurrency,
            rate=Rate(requests=end.rpm, tokens=end.tpm, per_s=60) if limited else None,
            deadline_s=end.deadline_s,
            retry=Retry(stop=self._stop),
        )
        self._client = await client.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._usage = self.usage
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(exc_type, exc, traceback)

    def _stop(self, state: RetryCallState) -> bool:
        """Tell tenacity when to give up."""
        failure = state.outcome.exception() if state.outcome else None
        timed_out = getattr(failure, "cause", None) == "timeout"
        if timed_out and self._patience.can_extend:
            return state.attempt_number >= HURRIED_ATTEMPTS
        soon = not self._proven or getattr(failure, "status", None) == CHOKED
        return state.attempt_number >= (FEW_ATTEMPTS if soon else ATTEMPTS)

    async def _knock(self, batch: list[str]) -> NDArray[np.float32] | None:
        """Send the first request alone; None if the server is known to be alive.

        Raises:
            EmbedderError: it failed; the calls that waited for it fail with it.
        """
        self._encode(batch)  # what cannot be sent tells nothing about the server
        seen = self._failures
        async with self._door:
            if self._proven:
                return None
            if self._failure is not None and self._failures > seen:
                raise self._failure
            try:
                first_s = min(FIRST_DEADLINE_S, self._endpoint.deadline_s)
                return await self._ask(batch, deadline_s=first_s)
            except EmbedderRefused as refusal:
                if refusal.status not in _PERHAPS_SETTINGS:
                    raise
                return await self._ask_plainer(batch, refusal)
            except EmbedderError as error:
                if asked_to_wait(error):
                    self._proven = True
                    return None
                self._failures += 1
                self._failure = error
                raise

    async def _ask_plainer(
        self, batch: list[str], refusal: EmbedderRefused
    ) -> NDArray[np.float32]:
        """Find out with a harmless text what was refused: texts, base64 or model.

        Raises:
            EmbedderRefused: the harmless text passes, so it was the texts.
            EmbedderDenied: it is refused too, so it was the model or a setting.
        """
        status, reason = refusal.status, refusal.reason
        for base64 in (True, False):
            self._question = replace(self._question, base64=base64)
            try:
                await self._ask(PROBE, deadline_s=FIRST_DEADLINE_S)
            except EmbedderRefused as error:
                status, reason = error.status, error.reason
                continue
            if base64:
                raise refusal
            return await self._ask(batch, deadline_s=FIRST_DEADLINE_S)
        raise EmbedderDenied(
            f"{self._endpoint.base_url} refuses every text: {status} "
            f"{reason.rstrip(' .:')}: check the model's name, the dimensions and the "
            "base URL",
            status=status,
        )

    async def _ask(
        self, batch: Sequence[str], *, deadline_s: float
    ) -> NDArray[np.float32]:
        """Ask until the answer can be read."""
        data = self._encode(batch)
        asked = 0
        while True:
            body = await self._exchange(data, deadline_s=deadline_s)
            asked += 1
            try:
                vectors, tokens = self._read(body, count=len(batch))
            except BadAnswer as error:
                if asked == ASKS:
                    raise EmbedderUnavailable(
                        f"{self._endpoint.base_url} answers, but not with embeddings: "
                        f"{error} ({ASKS} times): check the model and the base URL"
                    ) from error
                self._asked_again += 1
                continue
            self._bytes += len(data)
            self._usage.texts += len(batch)
            self._usage.tokens += tokens
            return vectors

    def _read(self, body: bytes, *, count: int) -> tuple[NDArray[np.float32], int]:
        """Read an answer; once one could be read, the server is no stranger."""
        try:
            read = decode(body, count=count, dimensions=self._dimensions)
        except (NotFinite, ZeroVector) as error:
            self._proven = True
            raise self._refused(str(error), status=200) from error
        self._proven = True
        self._dimensions = read[0].shape[1]
        return read

    def _encode(self, batch: Sequence[str]) -> bytes:
        try:
            return self._question.encode(batch)
        except UnicodeEncodeError as error:
            reason = "a text holds a lone surrogate, which no encoding can carry"
            raise self._refused(reason, status=422) from error

    async def _exchange(self, data: bytes, *, deadline_s: float) -> bytes:
        if self._client is None:
            raise RuntimeError("the embedder is not open: use 'async with'")
        rounds = ROUNDS if self._proven else 1
        while True:
            try:
                return await self._post(self._client, data, deadline_s=deadline_s)
            except CallError as error:
                if isinstance(error, AttemptTimeout) and self._patience.extend():
                    continue
                if not chokes(error):
                    raise translated(error) from error
                if await self._is_well(self._client):
                    return await self._ask_once_more(self._client, data)
                rounds -= 1
                if not rounds:
                    raise translated(error) from error

    async def _post(
        self, client: AsyncHttpClient, data: bytes, *, deadline_s: float
    ) -> bytes:
        """Send a request; learn from it how long an answer takes."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        response = await client.post(
            "embeddings",
            data=data,
            cost=self.profile.estimate_tokens(len(data)),
            idempotent=True,
            deadline_s=deadline_s,
            attempt_timeout_s=self._patience.seconds,
        )
        if response.attempts == 1:
            self._patience.learn(loop.time() - asked_at - response.waited_s)
        return response.body

    async def _is_well(self, client: AsyncHttpClient) -> bool:
        """Tell whether harmless texts pass, each at its first attempt."""
        data = self._question.encode(PROBE)
        try:
            for _ in range(PROBES):
                # Not called idempotent: a failing probe is not to be repeated.
                await client.post("embeddings", data=data, deadline_s=FIRST_DEADLINE_S)
        except CallError:
            return False
        return True

    async def _ask_once_more(self, client: AsyncHttpClient, data: bytes) -> bytes:
        """Ask again what only got 500s, now that harmless texts pass.

        The server may have recovered just then: a text is to blame only where it
        fails while others pass.

        Raises:
            EmbedderRefused: it is.
        """
        try:
            cost = self.profile.estimate_tokens(len(data))
            response = await client.post("embeddings", data=data, cost=cost)
        except CallError as error:
            if not chokes(error):
                raise translated(error) from error
            reason = error.reason or error.what
            raise self._refused(reason, status=error.status or 0) from error
        return response.body

    def _refused(self, reason: str, *, status: int) -> EmbedderRefused:
        where = self._endpoint.base_url
        message = f"{where}: {reason}"
        return EmbedderRefused(message, status=status, reason=reason)
