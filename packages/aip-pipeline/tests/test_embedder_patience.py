from __future__ import annotations

import asyncio
import json

from aiohttp import web
from openai_server import OpenAIServer

from aip_pipeline import open_embedder
from aip_pipeline.embedders import _patience


async def test_a_hung_request_is_given_up_soon_after_fast_answers() -> None:
    async with OpenAIServer() as server:
        spec, url = "openai:test", server.base_url
        async with open_embedder(spec, base_url=url) as embedder:
            await embedder.embed(["fast"])
            patience = embedder._patience  # type: ignore[attr-defined]  # white box
            assert patience.seconds == _patience.SHORTEST_S
            patience._least_s = 0.2  # so that the test need not wait 5 s
            server.delay_s = 2.0
            # The first attempt hangs; the server is well again when the second comes.
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, setattr, server, "delay_s", 0.0)
            vectors = await asyncio.wait_for(embedder.embed(["hangs once"]), 10)
            assert vectors.shape == (1, 16)
            assert embedder.usage.retries == 1


async def test_a_server_that_grew_slow_is_given_more_time() -> None:
    slow = 0.5
    calls = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        texts = (await request.json())["input"]
        if calls > 1:
            await asyncio.sleep(slow)  # longer than the first answers promised
        data = [{"index": n, "embedding": [1.0, 0.0]} for n in range(len(texts))]
        return web.Response(body=json.dumps({"data": data}).encode())

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with open_embedder("openai:test", base_url=url) as embedder:
            await embedder.embed(["fast"])
            patience = embedder._patience  # type: ignore[attr-defined]  # white box
            patience._least_s, patience._slowest_s = 0.15, 0.0001
            vectors = await asyncio.wait_for(embedder.embed(["slow"]), 20)
            assert vectors.shape == (1, 2)
            assert patience.seconds > slow
    finally:
        await runner.cleanup()
