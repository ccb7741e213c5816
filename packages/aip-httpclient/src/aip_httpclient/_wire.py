"""One request on the wire, and what became of it."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol, TypeAlias

import aiohttp
from aiohttp import payload
from yarl import URL

from ._errors import InvalidRequest
from ._reason import PEEK_BYTES, READ_BYTES, disguised, unpaid
from ._redirect import MOST_REDIRECTS, headers_for, redirected
from ._secrets import Redactor

Cause: TypeAlias = Literal[
    "status", "timeout", "transport", "connect", "certificate", "too large", "loop"
]

_FIRST_FAILURE = 300
_THROTTLED = 429
_CONNECT_S = 10.0
_LARGE = 2**20
_FORBIDDEN = frozenset("\r\n\0")


class AttemptFailed(Exception):
    """One attempt came to nothing; `CallError` is made of the last of them.

    Args:
        cause: the kind of failure.
        what: what happened, in a few words.
        status: the HTTP status, if an answer came.
        headers: the answer's headers.
        body: the first bytes of the answer.
        early: the connection closed before the first byte of an answer: perhaps the
            server had just given up a kept-alive connection.
        refused: no connection now, though there may be one later.

    Attributes:
        sent_at: loop time of the send, where an attempt may have had two.
        alone: whether the wait it asks for is for its own call only.
    """

    def __init__(
        self,
        cause: Cause,
        what: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        early: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(what)
        self.cause: Cause = cause
        self.what = what
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.body = body
        self.early = early
        self.refused = refused
        self.sent_at = 0.0
        self.alone = False

    @cached_property
    def unpaid(self) -> bool:
        """Whether somebody has to pay before the same request can succeed."""
        return self.status == _THROTTLED and unpaid(self.body)

    def redact(self, redactor: Redactor) -> None:
        """Mask our credentials in what happened; the body is masked when it is kept."""
        what = redactor.text(self.what)
        if what != self.what:
            self.what = what
            self.args = (what,)
            # The cause says it in the server's words.
            self.__cause__ = None

    @property
    def label(self) -> str:
        """The cause as `Stats.retried` names it."""
        return str(self.status) if self.cause == "status" else self.cause


@dataclass(slots=True)
class Parcel:
    """One request, ready to be sent any number of times."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    content_type: str | None

    def payload(self) -> payload.Payload | None:
        """Return the body as aiohttp takes it best."""
        if self.body is None:
            return None
        kind = self.content_type or "application/octet-stream"
        if len(self.body) < _LARGE:
            return payload.BytesPayload(self.body, content_type=kind)
        # aiohttp writes a file in pieces, and warns of bytes of this size.
        return payload.BytesIOPayload(io.BytesIO(self.body), content_type=kind)


Answer: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of a whole answer with a status below 300."""


class Wire(Protocol):
    """Whatever carries parcels: aiohttp, or a model of a server in tests."""

    async def send(self, parcel: Parcel, *, timeout_s: float, fresh: bool) -> Answer:
        """Send once and read the whole answer.

        Raises:
            AttemptFailed: no answer below 300 within *timeout_s*.
            InvalidRequest: *parcel* cannot be sent as it stands.
        """

    async def close(self) -> None:
        """Close what the wire opened."""


class AiohttpWire:
    """Send parcels through aiohttp.

    Args:
        max_body_bytes: the largest body read, after decompression.
        timeout_s: the usual attempt timeout.
    """

    def __init__(self, *, max_body_bytes: int, timeout_s: float) -> None:
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        self._timeout = _timeout(timeout_s)
        self._session = self._open(force_close=False)
        self._fresh: aiohttp.ClientSession | None = None

    async def send(self, parcel: Parcel, *, timeout_s: float, fresh: bool) -> Answer:
        """Send once and read the whole answer; *fresh* uses a new connection."""
        usual = timeout_s == self._timeout_s
        timeout = self._timeout if usual else _timeout(timeout_s)
        session = self._anew() if fresh else self._session
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = await session.request(
                    parcel.method,
                    parcel.url,
                    data=parcel.payload(),
                    headers=parcel.headers,
                    allow_redirects=False,
                    timeout=timeout,
                )
            except (aiohttp.ClientError, OSError) as error:
                raise _failed(error, timeout_s, early=True) from error
            except (TypeError, ValueError) as error:
                fault = _fault(parcel.headers.items())
                if fault:  # aiohttp may repeat the header's value
                    raise InvalidRequest(fault) from None
                raise InvalidRequest(f"cannot be sent: {error}") from error
            if response.status < _FIRST_FAILURE:
                return await self._whole(response, timeout_s)
            # The status first: a failing answer's body is for reading, not trusting.
            onward = _onward(parcel, response)
            if onward is None:
                raise await _status(response, timeout_s)
            response.close()
            parcel = onward
        raise AttemptFailed("loop", f"more than {MOST_REDIRECTS} redirects")

    async def _whole(
        self, response: aiohttp.ClientResponse, timeout_s: float
    ) -> Answer:
        """Read the body, counting what decompression makes of it."""
        content, most = response.content, self._max_body_bytes
        try:
            body = content.read_nowait()
            if not content.at_eof():
                body = await _rest(content, body, most)
        except (aiohttp.ClientError, OSError) as error:
            response.close()
            raise _failed(error, timeout_s, early=False) from error
        except BaseException:
            response.close()
            raise
        if len(body) > most:
            response.close()
            what = f"body is larger than max_body_bytes={most}"
            raise AttemptFailed("too large", what, status=response.status)
        if b'"error"' in body[:PEEK_BYTES] and disguised(body):
            what = f"answered {response.status} with a body that says rate-limited"
            headers = response.headers
            raise AttemptFailed(
                "status", what, status=_THROTTLED, headers=headers, body=body
            )
        return response.status, response.headers, body

    async def close(self) -> None:
        """Close both pools."""
        await self._session.close()
        if self._fresh is not None:
            await self._fresh.close()

    def _anew(self) -> aiohttp.ClientSession:
        if self._fresh is None:
            self._fresh = self._open(force_close=True)
        return self._fresh

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        # No limit here: admission is the limit, and its queue has no timeout.
        connector = aiohttp.TCPConnector(limit=0, force_close=force_close)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )


def _onward(parcel: Parcel, response: aiohttp.ClientResponse) -> Parcel | None:
    """Return the parcel a redirect asks for, without what is not for its origin."""
    target = redirected(
        parcel.method, parcel.url, status=response.status, headers=response.headers
    )
    if target is None:
        return None
    headers = headers_for(target, origin=parcel.url, headers=parcel.headers)
    return Parcel(parcel.method, target, headers, None, None)


def _timeout(total_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_S)


async def _status(response: aiohttp.ClientResponse, timeout_s: float) -> AttemptFailed:
    """Read the first of a failing answer's body; the status alone decides."""
    body = b""
    try:
        body = await _rest(response.content, body, READ_BYTES)
    except aiohttp.ClientPayloadError:
        body = b"(the body is damaged)"
    except (aiohttp.ClientError, OSError) as error:
        raise _failed(error, timeout_s, early=False) from error
    finally:
        # After a whole body this finds the connection back in its pool.
        response.close()
    what = f"answered {response.status} {response.reason or ''}".rstrip()
    headers, body = response.headers, body[:READ_BYTES]
    return AttemptFailed(
        "status", what, status=response.status, headers=headers, body=body
    )


async def _rest(content: aiohttp.StreamReader, begun: bytes, most: int) -> bytes:
    """Read on to the end, or until there is more than *most*."""
    pieces, size = [begun], len(begun)
    while size <= most:
        piece = await content.readany()
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _fault(headers: Iterable[tuple[object, object]]) -> str:
    """Name the header that cannot be sent, without its value."""
    for name, value in headers:
        if not isinstance(name, str):
            return f"header {name!r} is of type {type(name).__name__}, not str"
        if not isinstance(value, str):
            return f"header {name!r} is of type {type(value).__name__}, not str"
        if not _FORBIDDEN.isdisjoint(name + value):
            return f"header {name!r} holds a line break or NUL"
    return ""


def _failed(error: Exception, timeout_s: float, *, early: bool) -> AttemptFailed:
    """Say in our words what aiohttp reports."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        what = f"cannot connect: no answer in {min(timeout_s, _CONNECT_S):g} s"
        return AttemptFailed("connect", what, refused=True)
    if isinstance(error, TimeoutError):
        return AttemptFailed("timeout", f"no whole answer in {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        what = f"cannot trust the certificate: {_said(error.certificate_error)}"
        return AttemptFailed("certificate", what)
    if isinstance(error, aiohttp.ClientConnectorError):
        certain = isinstance(error, aiohttp.ClientConnectorDNSError | ssl.SSLError)
        what = f"cannot connect: {_said(error.os_error)}"
        return AttemptFailed("connect", what, refused=not certain)
    what = f"connection broke: {_said(error)}"
    lost = isinstance(error, aiohttp.ServerDisconnectedError | OSError)
    return AttemptFailed("transport", what, early=early and lost)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
