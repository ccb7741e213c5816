"""The client: what users hold."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias
from uuid import uuid4

from ._address import Addresses
from ._admission import Admission
from ._budget import RetryBudget
from ._call import Call, Terms
from ._engine import Engine
from ._errors import ClientClosed, InvalidRequest
from ._events import OnEvent
from ._gate import Gate
from ._hedge import Hedging
from ._json import encode
from ._limit import AdaptiveLimit, FixedLimit, Limit
from ._map import Outcome, Requests, stream
from ._pace import Pace
from ._request import Done, Failed, Request
from ._response import Response
from ._secrets import shown
from ._settings import Hedge, Rate, Retry
from ._spans import Spans
from ._stats import Stats, Tally
from ._timeout import AdaptiveTimeout
from ._wire import AiohttpWire, AttemptFailed, Parcel, Wire

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Concurrency: TypeAlias = int | Literal["adaptive"]

Usage: TypeAlias = Callable[[Response], float]

_WINDOWS = 2
_OPTIONAL = frozenset({"deadline_s", "queue_timeout_s"})
_UNSAFE = frozenset({"POST", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    attempt_timeout_s: float
    deadline_s: float | None
    queue_timeout_s: float | None
    max_body_bytes: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value: object = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name}={value!r} is not a number above 0")


class AsyncHttpClient:
    """Call one service many times, just under what it can take.

    Args:
        base_url: paths are joined to it.
        headers: sent with every request; credentials only to ``base_url``'s origin.
        concurrency: how many requests may be on the wire; ``"adaptive"`` starts at 16
            and finds out.
        rate: what the server allows per window; what it leaves out is learned from
            ``x-ratelimit-limit-*`` headers and 429s.
        attempt_timeout_s: seconds for one attempt, from the connection to the last
            byte of the answer. Above 5 s aiohttp rounds up to a whole second.
        adaptive_timeout: cut attempts at three times the 98th percentile of recent
            answers, where that is less than *attempt_timeout_s*.
        deadline_s: seconds for the whole call from its first send; time in the
            client's own queue is not counted. None for no deadline.
        queue_timeout_s: seconds a call may wait in the queue before its first
            send; None waits as long as it takes.
        retry: how failed attempts are repeated.
        hedge: send slow attempts a second time; can bill twice, see `Hedge`.
        max_body_bytes: the largest answer read, after decompression.
        mint_idempotency_keys: give every POST and PATCH without a key one of its own;
            for servers that promise to honour ``Idempotency-Key``.
        usage: reads from a good answer what it really cost, to correct *cost*.
        on_event: told of every attempt and every change; see `Event`.
        tracer: an OpenTelemetry tracer; each call becomes one span over all its
            attempts. Needs the extra ``[otel]``.
        seed: for the jitter; None takes it from the system.

    Raises:
        ValueError: a setting is out of its range.
        TypeError: *rate*, *retry* or *hedge* is something else.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        concurrency: Concurrency = "adaptive",
        rate: Rate | None = None,
        attempt_timeout_s: float = 60.0,
        adaptive_timeout: bool = False,
        deadline_s: float | None = 600.0,
        queue_timeout_s: float | None = None,
        retry: Retry | None = None,
        hedge: Hedge | None = None,
        max_body_bytes: int = 64 * 2**20,
        mint_idempotency_keys: bool = False,
        usage: Usage | None = None,
        on_event: OnEvent | None = None,
        tracer: Tracer | None = None,
        seed: int | None = None,
    ) -> None:
        _expect("rate", rate, Rate)
        _expect("retry", retry, Retry)
        _expect("hedge", hedge, Hedge)
        self._headers = dict(headers or {})
        self._addresses = Addresses(base_url, headers=self._headers)
        self._limits = _Limits(
            attempt_timeout_s=attempt_timeout_s,
            deadline_s=deadline_s,
            queue_timeout_s=queue_timeout_s,
            max_body_bytes=max_body_bytes,
        )
        self._limit = _limit(concurrency)
        self._adaptive_timeout = adaptive_timeout
        self._rate = rate
        self._retry = retry or Retry()
        self._hedge = hedge
        self._mint = mint_idempotency_keys
        self._usage = usage
        self._on_event = on_event
        self._spans = None if tracer is None else Spans(tracer)
        # Jitter spreads load; it keeps no secret.
        self._jitter = random.Random(seed)  # noqa: S311
        self._tally = Tally()
        self._engine: Engine | None = None
        self._opened = False
        self._terms = {safe: self._agree(may_repeat=safe) for safe in (False, True)}

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        if self._opened:
            raise ClientClosed(
                "the client was opened before; make one per `async with`"
            )
        self._opened = True
        gate, pace = Gate(self._jitter), Pace(self._rate)
        retry, timeout_s = self._retry, self._limits.attempt_timeout_s
        self._engine = Engine(
            loop=asyncio.get_running_loop(),
            wire=self._open_wire(),
            admission=Admission(limit=self._limit, pace=pace, gate=gate),
            retry=retry,
            budget=RetryBudget(ratio=retry.budget_ratio, per_s=retry.budget_per_s),
            headers=self._headers,
            tally=self._tally,
            jitter=self._jitter,
            timeout=(
                AdaptiveTimeout(ceiling_s=timeout_s) if self._adaptive_timeout else None
            ),
            hedging=Hedging(self._hedge) if self._hedge else None,
            on_event=self._on_event,
        )
        return self

    def _open_wire(self) -> Wire:
        limits = self._limits
        return AiohttpWire(
            max_body_bytes=limits.max_body_bytes, timeout_s=limits.attempt_timeout_s
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection pool."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.admission.close()
            await engine.wire.close()

    def __repr__(self) -> str:
        """Show the address and the load, never a header."""
        base = self._addresses.base
        where = shown(base) if base else "any address"
        taken = self._engine.admission.taken if self._engine else 0
        return f"<AsyncHttpClient {where}, {taken}/{self._most():.0f} in flight>"

    @property
    def stats(self) -> Stats:
        """A snapshot of limits, queue, counts and latency."""
        tally, engine = self._tally, self._engine
        admission = engine.admission if engine else None
        return Stats(
            limit=self._most(),
            in_flight=admission.taken if admission else 0,
            probes=admission.gate.probes if admission else 0,
            queued=admission.queued if admission else 0,
            rate_per_s=admission.pace.per_s if admission else None,
            tokens_per_s=admission.pace.tokens_per_s if admission else None,
            calls=tally.calls,
            sent=tally.sent,
            retried=dict(tally.retried),
            hedged=tally.hedged,
            failed=tally.failed,
            latency_s=tally.quantiles(),
            outage=bool(admission and admission.gate.down),
            refused_s=engine.refused_s(engine.loop.time()) if engine else 0.0,
        )

    @property
    def sent(self) -> int:
        """Requests sent so far, repeats included; cheaper than all of `stats`."""
        return self._tally.sent

    @property
    def retries(self) -> int:
        """Repeats so far, whatever their cause; cheaper than all of `stats`."""
        return self._tally.retried.total()

    def get(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        cost: float = 0.0,
        deadline_s: float | None = None,
        attempt_timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Fetch *path*; see `request` for the arguments and errors."""
        return self.request(
            "GET",
            path,
            headers=headers,
            cost=cost,
            deadline_s=deadline_s,
            attempt_timeout_s=attempt_timeout_s,
        )

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        cost: float = 0.0,
        idempotency_key: str | None = None,
        idempotent: bool = False,
        deadline_s: float | None = None,
        attempt_timeout_s: float | None = None,
    ) -> Coroutine[Any, Any, Response]:
        """Send a body to *path*; see `request` for the arguments and errors."""
        return self.request(
            "POST",
            path,
            json=json,
            data=data,
            headers=headers,
            cost=cost,
            idempotency_key=idempotency_key,
            idempotent=idempotent,
            deadline_s=deadline_s,
            attempt_timeout_s=attempt_timeout_s,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        cost: float = 0.0,
        idempotency_key: str | None = None,
        idempotent: bool = False,
        deadline_s: float | None = None,
        attempt_timeout_s: float | None = None,
    ) -> Response:
        """Send one request, as often as it takes, and read the whole answer.

        Args:
            method: the HTTP method.
            path: joined to ``base_url``, or a whole address.
            json: a body to encode as JSON; not together with *data*.
            data: a body as it stands.
            headers: sent beside the client's own, and before them.
            cost: tokens charged to the rate.
            idempotency_key: sent as ``Idempotency-Key`` with every attempt; the
                server's promise to do the work once makes the call safe to repeat.
            idempotent: the caller's word that a repeat does no harm.
            deadline_s: for this call instead of the client's.
            attempt_timeout_s: for this call instead of the client's.

        Raises:
            CallError: no answer below 300; the leaf says why.
            InvalidRequest: the request cannot be sent as it stands.
            ClientClosed: the client is not open.
        """
        engine = self._engine
        if engine is None:
            raise ClientClosed("use the client inside `async with AsyncHttpClient()`")
        method = _method(method)
        if self._mint and idempotency_key is None and method in _UNSAFE:
            idempotency_key = str(uuid4())
        may_repeat = idempotent or idempotency_key is not None
        terms = self._terms[may_repeat]
        if cost or deadline_s is not None or attempt_timeout_s is not None:
            terms = self._agree(
                may_repeat=may_repeat,
                cost=cost,
                deadline_s=deadline_s,
                attempt_timeout_s=attempt_timeout_s,
            )
        parcel = self._parcel(
            method, path, json=json, data=data, headers=headers, key=idempotency_key
        )
        call = Call(parcel, terms=terms, engine=engine)
        self._tally.calls += 1
        if self._spans is not None:
            response = await self._spans.over(_carry(call), method, parcel.url)
        else:
            try:
                response = await call.attempt()
            except AttemptFailed as failure:
                response = await call.recover(failure)
        if self._usage is not None:
            engine.admission.pace.reconcile(self._usage(response) - cost)
        return response

    def _agree(
        self,
        *,
        may_repeat: bool,
        cost: float = 0.0,
        deadline_s: float | None = None,
        attempt_timeout_s: float | None = None,
    ) -> Terms:
        limits = self._limits
        return Terms(
            cost=cost,
            may_repeat=may_repeat,
            deadline_s=limits.deadline_s if deadline_s is None else deadline_s,
            attempt_timeout_s=attempt_timeout_s or limits.attempt_timeout_s,
            queue_timeout_s=limits.queue_timeout_s,
        )

    def map(
        self, requests: Requests, *, ordered: bool = False
    ) -> AsyncGenerator[Outcome, None]:
        """Send many requests; yield `Done` or `Failed` for each as it ends.

        *requests* is pulled only while fewer than twice the present limit are begun
        and not yet yielded, so a source of any length takes constant memory, and
        a slow consumer slows the sending. A failing or unsendable request is
        yielded as `Failed`; an error of *requests* itself is raised after the
        outcomes before it. Leaving the loop early cancels what is in flight: wrap
        the stream in ``contextlib.aclosing`` to wait for that.

        Args:
            requests: any iterable or async iterable of `Request`.
            ordered: yield in the order of *requests*, not of completion.
        """
        return stream(
            requests, send=self._outcome, ordered=ordered, window=self._window
        )

    def _window(self) -> int:
        return _WINDOWS * math.ceil(self._most())

    def _most(self) -> float:
        return self._engine.admission.most if self._engine else self._limit.value

    async def _outcome(self, request: Request) -> Outcome:
        try:
            _sendable(request)
            response = await self.request(
                request.method,
                request.path,
                json=request.json,
                data=request.data,
                headers=request.headers,
                cost=request.cost,
                idempotency_key=request.idempotency_key,
                idempotent=request.idempotent,
                deadline_s=request.deadline_s,
                attempt_timeout_s=request.attempt_timeout_s,
            )
        except Exception as error:  # noqa: BLE001  # handed over: one never ends all
            return Failed(request, error)
        return Done(request, response)

    def _parcel(
        self,
        method: str,
        path: str,
        *,
        json: Any,
        data: bytes | None,
        headers: Mapping[str, str] | None,
        key: str | None,
    ) -> Parcel:
        url, merged = self._addresses.find(path)
        if headers or key is not None:
            named = {} if key is None else {"Idempotency-Key": key}
            merged = {**merged, **(headers or {}), **named}
        if json is None:
            return Parcel(method, url, merged, data, None)
        if data is not None:
            raise InvalidRequest("pass json= or data=, not both")
        try:
            return Parcel(method, url, merged, encode(json), "application/json")
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"json= cannot be encoded: {error}") from error


async def _carry(call: Call) -> Response:
    try:
        return await call.attempt()
    except AttemptFailed as failure:
        return await call.recover(failure)


def _method(method: object) -> str:
    if isinstance(method, str):
        return method.upper()
    raise InvalidRequest(f"the method is of type {type(method).__name__}, not str")


def _limit(concurrency: object) -> Limit:
    if concurrency == "adaptive":
        return AdaptiveLimit()
    if not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(
            f'concurrency={concurrency!r} is neither "adaptive" nor 1 or more'
        )
    return FixedLimit(concurrency)


def _expect(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name}={value!r} is not a {kind.__name__}")


def _sendable(request: object) -> Request:
    if not isinstance(request, Request):
        kind = type(request).__name__
        raise InvalidRequest(f"map takes Request objects, not {kind}")
    return request
