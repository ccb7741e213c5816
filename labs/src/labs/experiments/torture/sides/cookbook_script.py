"""The OpenAI cookbook's approach, in our own words.

A file of requests, throttled to the quota, each tried five times, the results
appended to a file as they come; what failed stands in that file too.
https://github.com/openai/openai-cookbook/blob/main/examples/api_request_parallel_processor.py
Tokens are counted as a quarter of the characters: tiktoken needs the internet.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp

from labs.experiments.torture.sides._commands import (
    BATCH,
    CHUNK_CHARS,
    KEY,
    MODEL,
    OVERLAP_CHARS,
    Passage,
    run,
)

REQUESTS_PER_MIN, TOKENS_PER_MIN = 1500.0, 6_250_000.0
ATTEMPTS = 5
PAUSE_S = 15.0
TICK_S = 0.001

log = logging.getLogger(__name__)


def ingest(folder: Path, state: Path, url: str) -> None:
    """Write the requests, then work them off."""
    logging.basicConfig(level=logging.WARNING)
    requests = state / "requests.jsonl"
    with requests.open("w", encoding="utf-8") as file:
        chunks = (
            (path, text)
            for path in sorted(folder.rglob("*.*"))
            for document in _documents(path)
            for text in _cut(document)
        )
        while batch := list(islice(chunks, BATCH)):
            sources = [str(path) for path, _ in batch]
            body = {"model": MODEL, "input": [text for _, text in batch]}
            file.write(json.dumps({**body, "metadata": sources}) + "\n")
    asyncio.run(_Run(url, state / "results.jsonl").work(requests))


def _documents(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            for line in file:
                yield json.loads(line)["text"]
        else:
            yield file.read()


def _cut(text: str) -> Iterator[str]:
    """Join paragraphs up to `CHUNK_CHARS`, and cut what is longer."""
    for paragraph in text.split("\n\n"):
        for start in range(0, len(paragraph), CHUNK_CHARS - OVERLAP_CHARS):
            yield paragraph[start : start + CHUNK_CHARS]


class _Quota:
    """What is free of the requests and tokens a minute."""

    def __init__(self) -> None:
        self.requests, self.tokens = REQUESTS_PER_MIN, TOKENS_PER_MIN
        self.then = time.monotonic()

    def refill(self) -> None:
        """Add what the time since the last call brought."""
        now = time.monotonic()
        requests = self.requests + (now - self.then) * REQUESTS_PER_MIN / 60
        tokens = self.tokens + (now - self.then) * TOKENS_PER_MIN / 60
        self.requests = min(requests, REQUESTS_PER_MIN)
        self.tokens, self.then = min(tokens, TOKENS_PER_MIN), now

    def take(self, texts: list[str]) -> bool:
        """Take what one request costs, if there is room for it."""
        cost = sum(map(len, texts)) / 4
        if self.requests < 1 or self.tokens < cost:
            return False
        self.requests, self.tokens = self.requests - 1, self.tokens - cost
        return True


class _Run:
    """One run over a file of requests."""

    def __init__(self, url: str, results: Path) -> None:
        self.url = f"{url}/embeddings"
        self.results = results
        self.again: list[tuple[dict[str, Any], list[str]]] = []
        self.going = self.failed = self.begun = 0
        self.limited_s = 0.0
        self.tasks: set[asyncio.Task[None]] = set()

    async def work(self, requests: Path) -> None:
        """Start a request whenever the quota has room for it."""
        quota = _Quota()
        with requests.open(encoding="utf-8") as file:
            fresh = ((json.loads(line), list[str]()) for line in file)
            following: tuple[dict[str, Any], list[str]] | None = None
            async with aiohttp.ClientSession() as session:
                while True:
                    following = following or self._next(fresh)
                    quota.refill()
                    if following and quota.take(following[0]["input"]):
                        task = asyncio.create_task(self._call(session, *following))
                        self.tasks.add(task)
                        task.add_done_callback(self.tasks.discard)
                        following = None
                    if not self.going and not following:
                        break
                    await asyncio.sleep(TICK_S)
                    await asyncio.sleep(self.limited_s + PAUSE_S - time.monotonic())
        if self.failed:
            log.warning(
                "%d / %d requests failed. Errors logged to %s.",
                self.failed,
                self.begun,
                self.results,
            )

    def _next(self, fresh: Iterator[Any]) -> tuple[dict[str, Any], list[str]] | None:
        if self.again:
            return self.again.pop(0)
        following: tuple[dict[str, Any], list[str]] | None = next(fresh, None)
        if following is not None:
            self.begun += 1
            self.going += 1
        return following

    async def _call(
        self,
        session: aiohttp.ClientSession,
        request: dict[str, Any],
        errors: list[str],
    ) -> None:
        body = {name: request[name] for name in ("model", "input")}
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            async with session.post(self.url, headers=headers, json=body) as response:
                told = await response.json()
            if "error" not in told:
                self._save([body, told, request["metadata"]])
                self.going -= 1
                return
            error = str(told["error"])
            if told["error"]["code"] == "429":
                self.limited_s = time.monotonic()
        except Exception as failure:  # noqa: BLE001  # as the cookbook's script does
            error = str(failure)
        log.warning("a request failed: %s", error)
        errors.append(error)
        if len(errors) < ATTEMPTS:
            self.again.append((request, errors))
            return
        self._save([body, errors, request["metadata"]])
        self.going -= 1
        self.failed += 1

    def _save(self, row: list[Any]) -> None:
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def passages(state: Path) -> Iterator[Passage]:
    """Read them from the results; what a kill tore in two is no passage."""
    results = state / "results.jsonl"
    if not results.exists():
        return
    with results.open(encoding="utf-8") as file:
        for line in file:
            try:
                request, told, sources = json.loads(line)
            except ValueError:
                continue
            data = told["data"] if isinstance(told, dict) else []
            vectors = {item["index"]: len(item["embedding"]) for item in data}
            for at, text in enumerate(request["input"]):
                if at in vectors:
                    yield sources[at], text, vectors[at]


def empty(state: Path) -> None:
    """Remove the results."""
    (state / "results.jsonl").unlink()


if __name__ == "__main__":
    run(ingest, passages, empty)
