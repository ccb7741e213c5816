"""A loopback server that speaks the data plane of Pinecone, and fails on demand.

It keeps what it is sent as float32, refuses what the service refuses, and pages its
listing. In a test: ``async with PineconeServer() as server: ... server.spec``.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from aiohttp import web

KEY = "canary-0815-mirror"
MAX_BODY_BYTES, MAX_METADATA_BYTES = 2_000_000, 40 << 10
MAX_ROWS, MAX_LISTED, MAX_ID = 1000, 100, 512


@dataclass(kw_only=True)
class PineconeServer:
    """Serve one index on a free loopback port.

    Args:
        key: the only one accepted.
        dimensions: of the index; None takes any.
        fault_rate: part of the requests answered 500 or 429.
        failing: statuses of the next answers, one each.
        says: bodies of the next good answers, instead of what is true.
        poison: an upsert of a text that holds this is answered 400.
        loses: an upsert of a text that holds this is answered well, and not kept.
        missing: said with 404 to all but upserts, as of a namespace never written to.
        page: ids in a page of the listing.
        on_request: called with each path before it is answered.
        seed: of the faults.
    """

    key: str = KEY
    dimensions: int | None = None
    fault_rate: float = 0.0
    failing: list[int] = field(default_factory=list)
    says: list[bytes] = field(default_factory=list)
    poison: str | None = None
    loses: str | None = None
    missing: str | None = None
    page: int = 7
    on_request: Callable[[str], None] | None = None
    seed: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    log: list[tuple[str, list[str]]] = field(default_factory=list)
    spaces: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    port: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spec(self) -> str:
        return f"pinecone:{self.host}/notes"

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """What the namespace of `spec` holds."""
        return self.spaces["notes"]

    @property
    def texts(self) -> list[str]:
        return sorted(row["metadata"]["text"] for row in self.rows.values())

    @property
    def requests(self) -> int:
        return self.calls.total()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/vectors/upsert", self._handle)
        app.router.add_post("/vectors/delete", self._handle)
        app.router.add_get("/vectors/list", self._handle)
        app.router.add_get("/vectors/fetch", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix("/vectors/")
        self.calls[name] += 1
        if self.on_request is not None:
            self.on_request(name)
        body = await request.read()
        self.sizes.append(len(body))
        given = request.headers.get("Api-Key", "")
        if given != self.key:
            return _error(401, f"Invalid API Key {given}")
        if "X-Pinecone-API-Version" not in request.headers:
            return _error(400, "no version")
        failed = self._fault()
        if self.missing is not None and name != "upsert":
            failed = _error(404, self.missing)
        if failed is not None:
            return failed
        try:
            answer = getattr(self, f"_{name}")(request, body)
        except _RefusedError as refused:
            return _error(400, str(refused))
        if self.says:
            return web.Response(body=self.says.pop(0), content_type="application/json")
        return web.json_response(answer)

    def _fault(self) -> web.Response | None:
        if self.failing:
            return _error(self.failing.pop(0), "The server had an error.")
        if self._random.random() >= self.fault_rate:
            return None
        if self._random.random() < 0.5:
            return _error(500, "The server had an error.")
        return _error(429, "Slow down.", {"retry-after-ms": "5"})

    def _upsert(self, request: web.Request, body: bytes) -> dict[str, Any]:
        del request
        _require(len(body) <= MAX_BODY_BYTES, "the request is larger than 2 MB")
        sent = json.loads(body)
        _require(len(sent["vectors"]) <= MAX_ROWS, "more than 1000 vectors")
        for row in sent["vectors"]:
            self._check(row)
        space = self.spaces[sent.get("namespace", "")]
        self.log.append(("upsert", [row["id"] for row in sent["vectors"]]))
        for row in sent["vectors"]:
            text = row["metadata"].get("text", "")
            if self.loses is None or self.loses not in text:
                values = np.array(row["values"], "<f4").tolist()
                space[row["id"]] = {**row, "values": values}
        return {"upsertedCount": len(sent["vectors"])}

    def _check(self, row: dict[str, Any]) -> None:
        _require(row["id"].isascii() and len(row["id"]) <= MAX_ID, "a bad id")
        length = len(row["values"])
        _require(
            self.dimensions in (None, length),
            f"Vector dimension {length} does not match the dimension of the index "
            f"{self.dimensions}",
        )
        _require(any(row["values"]), "a vector holds only zeros")
        metadata = row["metadata"]
        _require(len(json.dumps(metadata).encode()) <= MAX_METADATA_BYTES, "> 40 KB")
        for key, value in metadata.items():
            words = isinstance(value, list) and all(isinstance(v, str) for v in value)
            sound = words or isinstance(value, str | int | float | bool)
            _require(sound and not key.startswith("$"), f"metadata {key} is of no kind")
        poisoned = self.poison is not None and self.poison in metadata.get("text", "")
        _require(not poisoned, "the row is not liked")

    def _delete(self, request: web.Request, body: bytes) -> dict[str, Any]:
        del request
        sent = json.loads(body)
        _require(len(sent["ids"]) <= MAX_ROWS, "more than 1000 ids")
        self.log.append(("delete", sent["ids"]))
        for name in sent["ids"]:
            self.spaces[sent.get("namespace", "")].pop(name, None)
        return {}

    def _list(self, request: web.Request, body: bytes) -> dict[str, Any]:
        del body
        limit = int(request.query.get("limit", "100"))
        _require(limit <= MAX_LISTED, "a page is at most 100")
        after = request.query.get("paginationToken", "")
        space = self.spaces[request.query.get("namespace", "")]
        left = sorted(name for name in space if name > after)
        page = left[: min(limit, self.page)]
        answer: dict[str, Any] = {"vectors": [{"id": name} for name in page]}
        if len(left) > len(page):
            answer["pagination"] = {"next": page[-1]}
        return answer

    def _fetch(self, request: web.Request, body: bytes) -> dict[str, Any]:
        del body
        space = self.spaces[request.query.get("namespace", "")]
        asked = request.query.getall("ids")
        _require(len(asked) <= MAX_ROWS, "more than 1000 ids")
        return {"vectors": {name: space[name] for name in asked if name in space}}


class _RefusedError(Exception):
    """What the service answers with 400."""


def _require(sound: bool, said: str) -> None:  # noqa: FBT001  # it reads like assert
    if not sound:
        raise _RefusedError(said)


def _error(
    status: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"code": 3, "message": message, "details": []}
    return web.json_response(body, status=status, headers=headers)
