"""What the tests of mirrors share: sources, two more mirrors, and what each holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from pinecone_server import PineconeServer
from shelf import Shelf

from aip_pipeline import MirrorError, export


def write(path: Path, *lines: str) -> None:
    path.write_text(
        "".join(json.dumps({"text": line, "n": 1}) + "\n" for line in lines)
    )


def wanted() -> dict[str, tuple[str, int, bytes]]:
    """Return what the record holds: of each row its text, place and vector."""
    return {one.id: (one.text, one.start, one.vector) for one in export()}


def held(mirror: Shelf) -> dict[str, tuple[object, object, bytes]]:
    return {
        name: (row.metadata["text"], row.metadata["start"], row.vector)
        for name, row in mirror.rows.items()
    }


def stored_in(server: PineconeServer) -> dict[str, tuple[object, object, bytes]]:
    return {
        name: (
            row["metadata"]["text"],
            row["metadata"]["start"],
            np.array(row["values"], "<f4").tobytes(),
        )
        for name, row in server.rows.items()
    }


class Sink(PineconeServer):
    """Count the rows that come, without reading them."""

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        return web.json_response({"upsertedCount": body.count(b'"values":')})


class Broken(Shelf):
    """Take nothing."""

    async def upsert(self, rows: Any) -> None:
        self.calls["upsert"] += len(rows)
        raise MirrorError("the shelf is broken")
