"""One request on the wire, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import aiohttp
from yarl import URL

from ._reason import READ_BYTES

Cause: TypeAlias = Literal["status", "timeout", "transport", "connect", "too large"]


class AttemptFailed(Exception):  # never leaves the package
    """One attempt came to nothing; `CallError` is made of the last of them."""

    def __init__(
        self,
        cause: Cause,
        what: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(what)
        self.cause: Cause = cause
        self.what = what
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.body = body

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


@dataclass(slots=True)
class Answer:
    """A whole answer with a status below 400."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Send parcels through one aiohttp session.

    Args:
        session: the session; the wire does not close it.
        max_body_bytes: the largest body read, after decompression.
    """

    __slots__ = ("_max_body_bytes", "_session")

    def __init__(self, session: aiohttp.ClientSession, *, max_body_bytes: int) -> None:
        self._session = session
        self._max_body_bytes = max_body_bytes

    async def send(self, parcel: Parcel, *, timeout_s: float) -> Answer:
        """Send once and read the whole answer.

        Raises:
            AttemptFailed: no answer below 400 within *timeout_s*.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(parcel)
        except TimeoutError as error:
            what = f"no whole answer in {timeout_s:g} s"
            raise AttemptFailed("timeout", what) from error
        except aiohttp.ClientConnectorError as error:
            what = f"cannot connect: {_said(error.os_error)}"
            raise AttemptFailed("connect", what) from error
        except (aiohttp.ClientError, OSError) as error:
            what = f"connection broke: {_said(error)}"
            raise AttemptFailed("transport", what) from error

    async def _exchange(self, parcel: Parcel) -> Answer:
        async with self._session.request(
            parcel.method,
            parcel.url,
            data=parcel.body,
            headers=parcel.headers,
            allow_redirects=False,
        ) as response:
            status = response.status
            if status >= 300:  # noqa: PLR2004  # RFC 9110: below is success
                body = await _read(response, max_bytes=READ_BYTES, cut=True)
                what = f"answered {status} {response.reason or ''}".rstrip()
                headers = response.headers
                raise AttemptFailed(
                    "status", what, status=status, headers=headers, body=body
                )
            body = await _read(response, max_bytes=self._max_body_bytes, cut=False)
            return Answer(status, response.headers, body)


async def _read(
    response: aiohttp.ClientResponse, *, max_bytes: int, cut: bool
) -> bytes:
    """Read at most *max_bytes*; beyond that cut, or raise AttemptFailed."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            if not cut:
                what = f"body is larger than max_body_bytes={max_bytes}"
                raise AttemptFailed("too large", what, status=response.status)
            response.close()
            break
    return b"".join(pieces)[:max_bytes]


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
