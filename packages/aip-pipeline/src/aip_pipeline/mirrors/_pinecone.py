"""A Pinecone index as a mirror, by the REST API of its data plane.

Shapes and limits: the API reference's "Data plane" of version 2025-04, and "Database
limits". Every call here may be repeated without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from aip_httpclient import AsyncHttpClient, CallError
from aip_pipeline._errors import MirrorError
from aip_pipeline._json import decode as read_json, encode
from aip_pipeline._numbers import written
from aip_pipeline._waiting import first_error, off_loop
from aip_pipeline.mirrors._protocol import MirrorRow
from aip_pipeline.mirrors._translate import translated

API_VERSION: Final = "2025-04"
# The service's own: 2 MB a request, 1000 vectors, 40 KB of metadata, 1000 ids deleted.
MAX_BODY_BYTES: Final = 2_000_000
MAX_METADATA_BYTES: Final = 40_000
# As many as one page of the listing; their address stays below 4 KB.
FETCHED_AT_ONCE: Final = 100
LISTED_AT_ONCE: Final = 100
DEADLINE_S: Final = 120.0
_NO_NAMESPACE: Final = 404
_UPSERT: Final = "vectors/upsert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Say where an index is, and how to get in.

    Args:
        host: its address, as ``https://HOST``.
        namespace: of the index; empty for the default one.
        api_key: sent as ``Api-Key``, never shown.
    """

    host: str
    namespace: str = ""
    api_key: str = field(repr=False)


class PineconeMirror:
    """Keep the rows in one namespace of a serverless Pinecone index.

    Retries, pace and slots are the HTTP client's. Holds one call's rows, and their
    JSON.

    Args:
        index: where it is.
    """

    max_metadata_bytes = MAX_METADATA_BYTES

    def __init__(self, index: Index) -> None:
        self._index = index
        self._client: AsyncHttpClient | None = None

    @property
    def name(self) -> str:
        """The index and the namespace."""
        namespace = quote(self._index.namespace, safe="")
        return f"pinecone:{self._index.host}{namespace and '/'}{namespace}"

    @property
    def expects_answer(self) -> bool:
        """Whether a request is under way that does more than probe an outage."""
        stats = None if self._client is None else self._client.stats
        return stats is not None and stats.in_flight > stats.probes

    @property
    def outage(self) -> bool:
        """Whether the server is down, so that requests only probe it."""
        return self._client is not None and self._client.stats.outage

    async def upsert(self, rows: Sequence[MirrorRow]) -> None:
        """Send *rows* in as many requests as their size asks for, all at once.

        Raises:
            MirrorRefused: the rows are not accepted; fewer of them may be.
            MirrorError: the server gives no usable answer.
        """
        try:
            async with asyncio.TaskGroup() as group:
                bodies = self._bodies(rows)
                while one := await off_loop(next, bodies, None):
                    group.create_task(self._send(*one))
        except BaseExceptionGroup as failed:
            raise first_error(failed) from failed

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget the rows of *ids*.

        Raises:
            MirrorError: the server gives no usable answer.
        """
        body = encode({"ids": list(ids), **self._named})
        await self._ask("POST", "vectors/delete", body)

    async def ids(self) -> AsyncIterator[Sequence[str]]:
        """Yield all ids, a hundred at a time.

        Raises:
            MirrorError: the server gives no usable answer.
        """
        query = {"limit": str(LISTED_AT_ONCE), **self._named}
        while True:
            answer = await self._ask("GET", f"vectors/list?{urlencode(query)}")
            try:
                yield [str(one["id"]) for one in self._items(answer, "vectors", list)]
            except (KeyError, TypeError) as error:
                raise self._unusable("a listing that cannot be read") from error
            token = self._items(answer, "pagination", dict).get("next")
            if not token:
                return
            if query.get("paginationToken") == str(token):
                raise self._unusable("a listing that does not go on")
            query["paginationToken"] = str(token)

    async def fetch(self, ids: Sequence[str]) -> Sequence[MirrorRow]:
        """Return the rows of *ids*, those that are there.

        Raises:
            MirrorError: the server gives no usable answer.
        """
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(self._fetch(ids[at : at + FETCHED_AT_ONCE]))
                    for at in range(0, len(ids), FETCHED_AT_ONCE)
                ]
        except BaseExceptionGroup as failed:
            raise first_error(failed) from failed
        return [row for one in asked for row in one.result()]

    async def __aenter__(self) -> Self:
        client = AsyncHttpClient(
            base_url=self._index.host,
            headers={
                "Api-Key": self._index.api_key,
                "X-Pinecone-API-Version": API_VERSION,
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
            deadline_s=DEADLINE_S,
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
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(exc_type, exc, traceback)

    @property
    def _named(self) -> dict[str, str]:
        """Name the namespace; the default one has no name in every version."""
        namespace = self._index.namespace
        return {"namespace": namespace} if namespace else {}

    def _bodies(self, rows: Sequence[MirrorRow]) -> Iterator[tuple[bytes, int]]:
        """Write rows as JSON, as many in a request as it may hold."""
        head, tail = b'{"vectors":[', b"]}"
        if self._named:
            tail = b"]," + encode(self._named)[1:]
        room = MAX_BODY_BYTES - len(head) - len(tail)
        some: list[bytes] = []
        size = 0
        for row in rows:
            one = _written(row)
            if some and size + len(one) + 1 > room:
                yield head + b",".join(some) + tail, len(some)
                some, size = [], 0
            some.append(one)
            size += len(one) + 1
        if some:
            yield head + b",".join(some) + tail, len(some)

    async def _send(self, body: bytes, count: int) -> None:
        answer = await self._ask("POST", _UPSERT, body)
        kept = answer.get("upsertedCount")
        if kept != count:
            raise MirrorError(f"{self.name} kept {kept} of {count} rows: run again")

    async def _fetch(self, ids: Sequence[str]) -> list[MirrorRow]:
        query = urlencode({"ids": ids, **self._named}, doseq=True)
        answer = await self._ask("GET", f"vectors/fetch?{query}")
        found = self._items(answer, "vectors", dict)
        try:
            return await off_loop(_read_all, found)
        except (TypeError, ValueError, AttributeError) as error:
            raise self._unusable(f"a row that cannot be read: {error}") from error

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Send one request; return the object that it is answered with."""
        if self._client is None:
            raise RuntimeError("the mirror is not open: use 'async with'")
        try:
            response = await self._client.request(
                method, path, data=body, idempotent=True
            )
        except CallError as error:
            if error.status == _NO_NAMESPACE and b"amespace not found" in error.body:
                return {}  # it is made by the first row that is kept in it
            rows = path == _UPSERT
            raise translated(error, name=self.name, rows=rows) from error
        try:
            answer = await off_loop(read_json, response.body)
        except ValueError as error:
            raise self._unusable("what is not JSON") from error
        if not isinstance(answer, dict):
            raise self._unusable("what is no object")
        return answer

    def _items(self, answer: dict[str, Any], field: str, kind: type) -> Any:
        """Return a field of an answer, empty where it is left out."""
        found = answer.get(field) or kind()
        if not isinstance(found, kind):
            raise self._unusable(f"{field!r} of another kind than {kind.__name__}")
        return found

    def _unusable(self, what: str) -> MirrorError:
        return MirrorError(
            f"{self.name} answers with {what}: check that it is the host of an index"
        )


def _written(row: MirrorRow) -> bytes:
    """Write one row, its numbers with the digits that a float32 has.

    Raises:
        MirrorError: a number is not finite.
    """
    head = encode({"id": row.id, "metadata": row.metadata})
    try:
        values = written(row.vector)
    except ValueError as error:
        raise MirrorError(
            f"row {row.id} has a vector that is not finite: run `aip verify --repair`, "
            "then ingest again"
        ) from error
    return b'%b,"values":%b}' % (head[:-1], values.encode())


def _read_all(found: dict[str, Any]) -> list[MirrorRow]:
    return [_read(name, row) for name, row in found.items()]


def _read(name: str, row: dict[str, Any]) -> MirrorRow:
    import numpy as np  # noqa: PLC0415  # only a comparison needs it

    with np.errstate(over="ignore"):  # to infinity, which is never what is wanted
        values = np.array(row.get("values") or [], "<f4")
    return MirrorRow(name, values.tobytes(), row.get("metadata") or {})
