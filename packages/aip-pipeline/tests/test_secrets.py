"""A key that is set appears in nothing that a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from command import Aip, aip_process
from openai_server import OpenAIServer
from pinecone_server import PineconeServer

from aip_pipeline import Ingestion, IngestSettings, open_embedder, open_mirror

KEY = "canary-4711-secret"


async def ran(*args: str) -> tuple[int | None, bytes]:
    """Run `aip` as a process with the key set; return its code and all it said."""
    process = await aip_process(*args, AIP_API_KEY=KEY)
    out, err = await process.communicate()
    return process.returncode, out + err


@pytest.fixture
async def parrot() -> AsyncIterator[str]:
    """Serve an API that refuses everything, and repeats the key that it was sent."""

    async def refuse(request: web.Request) -> web.Response:
        given = request.headers["Authorization"]
        said = f"Incorrect API key provided: {given.removeprefix('Bearer ')}"
        status = 400 if "POISON" in await request.text() else 401
        return web.json_response({"error": {"message": said}}, status=status)

    app = web.Application()
    app.router.add_post("/v1/embeddings", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


def left_behind(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


async def test_a_key_is_in_no_artefact_of_a_run(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"text": f"text number {n}"}) for n in range(40)]
    lines[7] = json.dumps({"text": "POISON"})
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    async with OpenAIServer(poison="POISON", key=KEY, fault_rate=0.1) as server:
        flags = ("--embedder", "openai:test", "--base-url", server.base_url)
        code, said = await ran(
            "--debug", "ingest", "a.jsonl", *flags, "--log-json", "--report", "r.html"
        )
        assert code == 3
        said += (await ran("dead", "retry", "--json"))[1]
    monkeypatch.setenv("AIP_API_KEY", KEY)
    for args in (["dead", "list"], ["dead", "show", "1"], ["status"], ["config"]):
        said += "".join(map(str, aip(*args))).encode()
    assert b"run_finished" in said
    assert KEY.encode() not in said
    assert KEY.encode() not in left_behind(aip.folder)


@pytest.mark.parametrize(
    ("text", "more"), [("a plain text", []), ("POISON", ["--log-json"])]
)
async def test_a_server_that_repeats_the_key_is_not_repeated(
    aip: Aip, parrot: str, text: str, more: list[str]
) -> None:
    (aip.folder / "a.txt").write_text(text)
    flags = ("--embedder", "openai:test", "--base-url", parrot)
    code, said = await ran("--debug", "ingest", "a.txt", *flags, *more)
    assert code == 1
    assert KEY.encode() not in said
    assert KEY.encode() not in left_behind(aip.folder)


async def test_the_key_of_a_mirror_is_in_no_artefact_of_a_run(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    lines = [json.dumps({"text": f"text number {n}"}) for n in range(40)]
    (aip.folder / "a.jsonl").write_text("\n".join(lines))
    # The first server takes another key, and repeats the one that it was sent.
    async with (
        PineconeServer(key="another") as denying,
        PineconeServer(key=KEY) as good,
    ):
        good.fault_rate, good.poison = 0.1, "number 7"
        said = b""
        for server, code in ((denying, 1), (good, 1)):
            flags = ["--mirror", server.spec, "--log-json", "--report", "r.html"]
            ended, told = await ran("--debug", "ingest", "a.jsonl", *flags)
            assert ended == code
            said += told
            said += (await ran("--debug", "verify", "--mirror", server.spec))[1]
        monkeypatch.setenv("AIP_MIRROR", good.spec)
        said += (await ran("config"))[1]
    assert b"Invalid API Key ***" in said
    assert b"refused rows" in said
    assert b"mirror-missing" in said
    assert KEY.encode() not in said
    assert KEY.encode() not in left_behind(aip.folder)


def test_a_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_API_KEY", KEY)
    settings = IngestSettings(embedder="openai:m", base_url="http://127.0.0.1:1/v1")
    run = Ingestion(["."], settings=settings)
    embedder = open_embedder("openai:m", base_url=settings.base_url)
    for thing in (settings, run, embedder, vars(run), vars(embedder)):
        assert KEY not in repr(thing)


def test_the_key_of_a_mirror_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    settings = IngestSettings(mirror="pinecone:http://127.0.0.1:1/a")
    run = Ingestion(["."], settings=settings)
    mirror = open_mirror("pinecone:http://127.0.0.1:1/a")
    for thing in (settings, run, mirror, vars(run), vars(run._mirroring), vars(mirror)):
        assert KEY not in repr(thing)
