"""Pinecone's data plane over loopback: bounds, retries, lies, and errors in a line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from pinecone_server import KEY, MAX_BODY_BYTES, PineconeServer

from aip_pipeline import (
    ConfigError,
    Mirror,
    MirrorError,
    MirrorRefused,
    MirrorRow,
    open_mirror,
)


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with PineconeServer() as started:
        yield started


def mirror(server: PineconeServer, **more: Any) -> Mirror:
    return open_mirror(server.spec, api_key=more.get("key", KEY))


def rows(count: int, *, dimensions: int = 4, text: str = "words") -> list[MirrorRow]:
    numbers = np.random.default_rng(7).standard_normal((count, dimensions))
    vectors = numbers.astype("<f4")
    return [
        MirrorRow(f"{n:032x}", one.tobytes(), {"text": text, "start": n, "t": ["a"]})
        for n, one in enumerate(vectors)
    ]


async def listed(opened: Mirror) -> list[str]:
    return [name async for page in opened.ids() for name in page]


async def fetched(opened: Mirror, ids: Sequence[str]) -> list[MirrorRow]:
    return sorted(await opened.fetch(ids))


async def test_rows_come_back_as_they_were_sent(server: PineconeServer) -> None:
    sent = rows(230)
    ids = [row.id for row in sent]
    async with mirror(server) as opened:
        await opened.upsert(sent)
        assert await listed(opened) == ids
        assert await fetched(opened, [*ids, "not there"]) == sent
        await opened.delete([*ids[:200], "not there"])
        assert await listed(opened) == ids[200:]
        assert await fetched(opened, []) == []
    assert server.calls["fetch"] == 3, "a hundred at once"


async def test_the_default_namespace_has_no_name(server: PineconeServer) -> None:
    async with open_mirror(f"pinecone:{server.host}", api_key=KEY) as opened:
        assert opened.name == f"pinecone:{server.host}"
        await opened.upsert(rows(3))
        assert len(await fetched(opened, await listed(opened))) == 3
        await opened.delete([rows(3)[0].id])
    assert len(server.spaces[""]) == 2


async def test_a_request_holds_no_more_than_the_service_takes(
    server: PineconeServer,
) -> None:
    sent = rows(500, dimensions=1536, text="ä" * 1000)
    async with mirror(server) as opened:
        await opened.upsert(sent)
        assert await fetched(opened, await listed(opened)) == sent
    assert server.calls["upsert"] > 4
    assert max(server.sizes) <= MAX_BODY_BYTES
    whole = -(-sum(server.sizes) // MAX_BODY_BYTES)
    assert server.calls["upsert"] <= whole + 1, "nor much less"


async def test_no_rows_are_no_request(server: PineconeServer) -> None:
    async with mirror(server) as opened:
        await opened.upsert([])
    assert server.requests == 0


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_is_tried_again(server: PineconeServer, status: int) -> None:
    server.failing = [status] * 2
    async with mirror(server) as opened:
        await opened.upsert(rows(1))
        server.failing = [status]
        assert await listed(opened) == [rows(1)[0].id]
        server.failing = [status]
        await opened.delete([rows(1)[0].id])
    assert not server.rows


async def test_a_namespace_that_is_not_there_yet_is_empty(
    server: PineconeServer,
) -> None:
    async with mirror(server) as opened:
        server.failing = [404] * 3
        with pytest.raises(MirrorError, match=r"404 .*check the index's host"):
            await opened.fetch(["x"])
        server.failing = []
        server.missing = "Namespace not found"
        assert await listed(opened) == []
        assert await fetched(opened, ["x"]) == []
        await opened.delete(["x"])


async def test_refused_rows_are_told_from_a_refused_key(
    server: PineconeServer,
) -> None:
    server.dimensions = 8
    async with mirror(server) as opened:
        with pytest.raises(MirrorRefused, match="refused rows: 400 Vector dimension 4"):
            await opened.upsert(rows(2))
    async with mirror(server, key="another-key") as opened:
        with pytest.raises(MirrorError, match="check the key in PINECONE") as caught:
            await opened.upsert(rows(2))
    assert not isinstance(caught.value, MirrorRefused)
    assert "another-key" not in str(caught.value), "though the server repeats it"


@pytest.mark.parametrize("status", [400, 422])
async def test_what_is_no_upsert_refuses_no_rows(
    server: PineconeServer, status: int
) -> None:
    async with mirror(server) as opened:
        for call in (listed(opened), opened.fetch(["a"]), opened.delete(["a"])):
            server.failing = [status]
            with pytest.raises(MirrorError, match=f"no answer from .*{status}") as said:
                await call
            assert not isinstance(said.value, MirrorRefused)


async def test_a_server_that_is_not_there_is_named() -> None:
    async with open_mirror("pinecone:http://127.0.0.1:9", api_key=KEY) as opened:
        said = r"cannot reach pinecone:http://127.0.0.1:9: .* attempts\): check the"
        with pytest.raises(MirrorError, match=said):
            await opened.upsert(rows(1))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "answers with what is not JSON"),
        (b"[]", "answers with what is no object"),
        (b'{"vectors": {"a": []}}', "answers with a row that cannot be read"),
        (b'{"vectors": {"a": {"values": ["x"]}}}', "with a row that cannot be read"),
        (b'{"vectors": []}', None),
        (b'{"vectors": [1]}', "answers with 'vectors' of another kind than dict"),
    ],
)
async def test_an_answer_of_another_kind_is_an_error(
    server: PineconeServer, body: bytes, said: str | None
) -> None:
    server.says = [body]
    async with mirror(server) as opened:
        if said is None:
            assert await opened.fetch(["a"]) == []
            return
        with pytest.raises(MirrorError, match=said):
            await opened.fetch(["a"])


@pytest.mark.parametrize("body", [b'{"vectors": [1]}', b'{"vectors": [{"name": 1}]}'])
async def test_a_listing_of_another_kind_is_an_error(
    server: PineconeServer, body: bytes
) -> None:
    server.says = [body]
    async with mirror(server) as opened:
        with pytest.raises(MirrorError, match="a listing that cannot be read"):
            await listed(opened)


async def test_a_listing_that_does_not_go_on_ends(server: PineconeServer) -> None:
    server.says = [b'{"vectors": [], "pagination": {"next": "x"}}'] * 9
    async with mirror(server) as opened:
        with pytest.raises(MirrorError, match="a listing that does not go on"):
            await listed(opened)
    assert server.calls["list"] == 2


async def test_fewer_rows_kept_than_sent_is_an_error(server: PineconeServer) -> None:
    server.says = [b'{"upsertedCount": 1}']
    async with mirror(server) as opened:
        with pytest.raises(MirrorError, match="kept 1 of 2 rows"):
            await opened.upsert(rows(2))


async def test_it_is_used_only_while_it_is_open(server: PineconeServer) -> None:
    closed = mirror(server)
    with pytest.raises(RuntimeError, match="use 'async with'"):
        await closed.delete(["a"])
    await closed.__aexit__(None, None, None)
    for _ in range(2):
        async with closed as opened:
            await opened.delete(["a"])


async def test_a_number_that_is_not_finite_is_not_sent(server: PineconeServer) -> None:
    bad = MirrorRow("a", np.array([np.nan], "<f4").tobytes(), {})
    async with mirror(server) as opened:
        with pytest.raises(MirrorError, match="a vector that is not finite"):
            await opened.upsert([bad])


@pytest.mark.parametrize(
    "spec",
    [
        "pinecone:",
        "pinecone:index.pinecone.io",
        "pinecone:ftp://h/a",
        "pinecone:https://me:canary@h/a",
        "pinecone:https://h:x/canary",
        "pinecone:https://h:0",
        "pinecone:https://h/a?key=canary",
        "pinecone:http://canary.example/a",
        "pinecone:https://h/a#canary",
        "pinecone:https://h/a/b",
        "pinecone:https://h/a%00b",
    ],
)
def test_an_address_that_cannot_be_right_is_refused_and_not_repeated(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"write pinecone:https://INDEX") as caught:
        open_mirror(spec, api_key=KEY)
    assert "canary" not in str(caught.value)


def test_a_mirror_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown mirror 'qdrant': use pinecone:"):
        open_mirror("qdrant:http://h:canary@x", api_key=KEY)
    with pytest.raises(ConfigError, match="unknown mirror ''"):
        open_mirror("", api_key=KEY)


@pytest.mark.parametrize("key", [None, "", " ", "ca\nnary", "canäry"])
def test_without_a_key_nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("PINECONE_API_KEY", key)
    with pytest.raises(ConfigError, match="needs a key: set PINECONE_API_KEY") as said:
        open_mirror("pinecone:https://h")
    assert "can" not in str(said.value).replace("cannot", "")


def test_a_name_is_one_however_it_is_written() -> None:
    spelled = ("https://H.io/a%20b/", "https://h.io/a b", "https://h.io/a%20b")
    names = {open_mirror(f"pinecone:{one}", api_key=KEY).name for one in spelled}
    assert names == {"pinecone:https://h.io/a%20b"}
    assert json.dumps(list(names))
