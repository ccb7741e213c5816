"""A client with nothing to do but to keep requests waiting: the most there is to get.

It reads no file, stores no vector and looks at no answer but for its status. What it
leaves unused of a server's slots, between the first request and the last answer, the
server loses itself.

``python -m labs.experiments.ingest._saturate URL REQUESTS``
"""

from __future__ import annotations

import argparse
import asyncio
import json
from http import HTTPStatus

import aiohttp

IN_FLIGHT, BATCH, TEXT_CHARS = 64, 64, 1700


async def main(given: argparse.Namespace) -> None:
    """Send the same texts again and again."""
    left = iter(range(given.requests))
    texts = [f"{number:>{TEXT_CHARS}}" for number in range(BATCH)]
    body = json.dumps({"input": texts}).encode()

    async def work() -> None:
        for _ in left:
            async with http.post(f"{given.url}/embeddings", data=body) as response:
                if response.status != HTTPStatus.OK:
                    raise RuntimeError(f"the server answered {response.status}")
                await response.read()

    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(IN_FLIGHT):
            group.create_task(work())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("requests", type=int)
    asyncio.run(main(parser.parse_args()))
