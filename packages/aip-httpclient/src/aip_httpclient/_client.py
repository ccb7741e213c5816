"""The client: what users hold."""

from __future__ import annotations

import json as stdlib_json
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import aiohttp

from ._address import Addresses
from ._call import Call, Engine, Terms
from ._errors import ClientClosed, InvalidRequest
from ._map import Outcome, Requests, stream
from ._pace import Pace
from ._request import Done, Failed, Request
from ._response import Response
from ._secrets import Redactor, is_credential, shown
from ._settings import Rate, Retry
from ._slots import Slots
from ._stats import Stats, Tally
from ._wire import Parcel, Wire

Concurrency: TypeAlias = int | Literal["adaptive"]

_START = 16
_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    attempt_timeout_s: float
    deadline_s: float | None
    queue_timeout_s: float | None
    max_body_bytes: int

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value!r} is not above 0")


class AsyncHttpClient:
    """Call one service many times, within what it can take.

    Args:
        base_url: paths are joined to it.
        headers: sent with every request; credentials only to ``base_url``'s origin.
        concurrency: how many requests may be on the wire; ``"adaptive"`` starts
            at 16.
        rate: what the server allows per window, if it is known.
        attempt_timeout_s: seconds for one attempt, from the connection to the last
            byte of the answer.
        deadline_s: seconds for the whole call from its first send; time in the
            client's own queue is not counted. None for no deadline.
        queue_timeout_s: seconds a call may wait in the queue before its first
            send; None waits as long as it takes.
        retry: how failed attempts are repeated.
        max_body_bytes: the largest answer read, after decompression.
        seed: for the jitter; None takes it from the system.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        headers: Mapping[str, str] | None = None,
        concurrency: Concurrency = _START,
        rate: Rate | None = None,
        attempt_timeout_s: float = 60.0,
        deadline_s: float | None = 600.0,
        queue_timeout_s: float | None = None,
        retry: Retry | None = None,
        max_body_bytes: int = 64 * 2**20,
        seed: int | None = None,
    ) -> None:
        self._addresses = Addresses(base_url)
        self._headers = dict(headers or {})
        self._limits = _Limits(
            attempt_timeout_s=attempt_timeout_s,
            deadline_s=deadline_s,
            queue_timeout_s=queue_timeout_s,
            max_body_bytes=max_body_bytes,
        )
        self._slots = Slots(limit=_initial(concurrency))
        self._rate = rate
        self._retry = retry or Retry()
        self._seed = seed
        self._tally = Tally()
        self._session: aiohttp.ClientSession | None = None
        self._engine: Engine | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        if self._session is not None:
            raise ClientClosed("the client is already open; make one per `async with`")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the slots are the limit
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._engine = Engine(
            wire=Wire(self._session, max_body_bytes=self._limits.max_body_bytes),
            slots=self._slots,
            pace=Pace(self._rate) if self._rate else None,
            retry=self._retry,
            redact=Redactor([self._headers]),
            tally=self._tally,
            jitter=random.Random(self._seed),  # noqa: S311  # jitter is no secret
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection pool."""
        self._engine = None
        if self._session is not None:
            await self._session.close()

    def __repr__(self) -> str:
        """Show the address and the load, never a header."""
        base = self._addresses.base
        where = shown(base) if base else "any address"
        slots = self._slots
        return f"<AsyncHttpClient {where}, {slots.taken}/{slots.limit} in flight>"

    @property
    def stats(self) -> Stats:
        """A snapshot of limits, queue, counts and latency."""
        tally, slots, rate = self._tally, self._slots, self._rate
        return Stats(
            limit=slots.limit,
            in_flight=slots.taken,
            queued=slots.queued,
            rate_per_s=rate.requests / rate.per_s if rate and rate.requests else None,
            calls=tally.calls,
            sent=tally.sent,
            retried=dict(tally.retried),
            failed=tally.failed,
            latency_s=tally.quantiles(),
            outage=False,
        )

    async def get(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        cost: float = 0.0,
        deadline_s: float | None = None,
        attempt_timeout_s: float | None = None,
    ) -> Response:
        """Fetch *path*; see `request` for the arguments and errors."""
        return await self.request(
            "GET",
            path,
            headers=headers,
            cost=cost,
            deadline_s=deadline_s,
            attempt_timeout_s=attempt_timeout_s,
        )

    async def post(
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
    ) -> Response:
        """Send a body to *path*; see `request` for the arguments and errors."""
        return await self.request(
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
        if self._engine is None:
            raise ClientClosed("use the client inside `async with AsyncHttpClient()`")
        limits = self._limits
        terms = Terms(
            cost=cost,
            may_repeat=idempotent or idempotency_key is not None,
            deadline_s=limits.deadline_s if deadline_s is None else deadline_s,
            attempt_timeout_s=attempt_timeout_s or limits.attempt_timeout_s,
            queue_timeout_s=limits.queue_timeout_s,
        )
        parcel = self._parcel(
            method, path, json=json, data=data, headers=headers, key=idempotency_key
        )
        return await Call(parcel, terms=terms, engine=self._engine).run()

    def map(
        self, requests: Requests, *, ordered: bool = False
    ) -> AsyncGenerator[Outcome, None]:
        """Send many requests; yield `Done` or `Failed` for each as it ends.

        *requests* is pulled only while fewer than twice the concurrency are begun
        and not yet yielded, so a source of any length takes constant memory, and
        a slow consumer slows the sending. A failing or unsendable request is
        yielded as `Failed`; an error of *requests* itself is raised after the
        outcomes before it. Leaving the loop early cancels what is in flight: wrap
        the stream in ``contextlib.aclosing`` to wait for that.

        Args:
            requests: any iterable or async iterable of `Request`.
            ordered: yield in the order of *requests*, not of completion.
        """
        window = 2 * self._slots.limit
        return stream(requests, send=self._outcome, ordered=ordered, window=window)

    async def _outcome(self, request: Request) -> Outcome:
        try:
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
        url = self._addresses.find(path)
        ours = self._addresses.ours(url)
        merged = {
            n: v for n, v in self._headers.items() if ours or not is_credential(n)
        }
        if json is not None:
            if data is not None:
                raise InvalidRequest("pass json= or data=, not both")
            data = _encode(json)
            merged["Content-Type"] = "application/json"
        if key is not None:
            merged["Idempotency-Key"] = key
        merged.update(headers or {})
        return Parcel(method, url, merged, data)


def _initial(concurrency: Concurrency) -> int:
    if concurrency == "adaptive":
        return _START
    if concurrency < 1:
        raise ValueError(f"concurrency={concurrency!r} is below 1")
    return concurrency


def _encode(value: Any) -> bytes:
    try:
        return stdlib_json.dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"json= cannot be encoded: {error}") from error
