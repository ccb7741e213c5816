from __future__ import annotations

import asyncio
import functools
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given, settings, strategies as st

from aip_pipeline import _errors as errors
from aip_pipeline.embedders import Embedder, _local, open_embedder

TEXTS = [
    "parse command line arguments",
    "Straße, naïve, 東京, 🦜 and a\ttab\n\n  with  spaces ",
    " ",
    "\n",
    "<s> is a word here, not a mark",
    "def f(x):\n    return x ** 2  # code\n" * 40,
    "a" * 5000,
    "nul \0 byte",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local() -> AsyncIterator[Embedder]:
    async with open_embedder("local") as embedder:
        yield embedder


@functools.cache
def model() -> _local._Model:
    return _local._Model(256)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_same_vectors_as_wordllama_itself(local: Embedder) -> None:
    theirs: Any = pytest.importorskip("wordllama")
    folder = Path(theirs.__file__).parent
    model = theirs.WordLlama.load(cache_dir=folder, disable_download=True)
    ours = await local.embed(TEXTS)
    cosines = np.sum(ours * model.embed(TEXTS, norm=True), axis=1)
    assert cosines == pytest.approx(1.0, abs=1e-6)


async def test_vectors_are_float32_of_unit_length(local: Embedder) -> None:
    vectors = await local.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), local.dimensions) == (len(TEXTS), 256)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)


async def test_text_without_a_token_gets_the_zero_vector(local: Embedder) -> None:
    vectors = await local.embed(["", "word", ""])
    assert not vectors[0].any()
    assert vectors[1].any()
    assert not vectors[2].any()


async def test_no_texts_make_no_vectors(local: Embedder) -> None:
    assert (await local.embed([])).shape == (0, 256)


async def test_nearer_meaning_is_nearer(local: Embedder) -> None:
    query, near, far = await local.embed(
        ["parse command line arguments", "read options from argv", "bake bread"]
    )
    assert query @ near > query @ far + 0.1


async def test_long_text_is_summed_in_slices(
    local: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await local.embed(TEXTS)
    monkeypatch.setattr(_local, "ROWS", 7)
    assert await local.embed(TEXTS) == pytest.approx(whole, abs=1e-6)


async def test_text_with_a_lone_surrogate_is_refused(local: Embedder) -> None:
    with pytest.raises(errors.EmbedderRefused, match="lone surrogate") as caught:
        await local.embed(["good", "bad \ud800"])
    assert caught.value.status == 422


async def test_usage_counts_texts_and_tokens_but_no_request() -> None:
    async with open_embedder("local") as embedder:
        await embedder.embed(["one", "one two"])
        usage = embedder.usage
    assert (usage.texts, usage.requests, usage.retries) == (2, 0, 0)
    assert 2 < usage.tokens < 6


async def test_shorter_vectors_are_the_leading_columns(local: Embedder) -> None:
    async with open_embedder("local", dimensions=64) as embedder:
        short = await embedder.embed(TEXTS)
        assert embedder.spec == "local:l2_supercat?dimensions=64"
    leading = (await local.embed(TEXTS))[:, :64]
    lengths = np.linalg.norm(leading, axis=1, keepdims=True)
    assert short == pytest.approx(leading / lengths, abs=1e-6)


async def test_spec_opens_the_same_embedder(local: Embedder) -> None:
    assert local.spec == "local:l2_supercat"
    assert open_embedder(local.spec).spec == local.spec
    assert open_embedder("local", dimensions=256).spec == local.spec


async def test_concurrent_calls_do_not_mix(local: Embedder) -> None:
    alone = [await local.embed([text]) for text in TEXTS]
    together = await asyncio.gather(*(local.embed([text]) for text in TEXTS))
    assert np.array_equal(alone, together)


async def test_event_loop_stays_free(local: Embedder) -> None:
    lags: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append(time.perf_counter() - before - 0.002)

    watching = asyncio.create_task(watch())
    batch = ["the event loop must stay free " * 30] * 64
    await asyncio.gather(*(local.embed(batch) for _ in range(30)))
    watching.cancel()
    assert len(lags) > 10
    assert sorted(lags)[len(lags) // 2] < 0.02


async def test_unopened_and_closed_embedder_is_refused() -> None:
    embedder = open_embedder("local")
    with pytest.raises(RuntimeError, match="not open"):
        await embedder.embed(["a"])
    async with embedder:
        await embedder.embed(["a"])
    with pytest.raises(RuntimeError, match="not open"):
        await embedder.embed(["a"])


async def test_opens_and_embeds_with_sockets_blocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blocked(*_: object, **__: object) -> None:
        raise AssertionError("the local embedder reached for the network")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    async with open_embedder("local") as embedder:
        assert (await embedder.embed(["offline"])).any()


async def test_wordllamas_code_is_never_imported() -> None:
    code = """if True:
        import asyncio, sys
        from aip_pipeline.embedders import open_embedder
        async def main():
            async with open_embedder("local") as embedder:
                return (await embedder.embed(["a"])).shape
        print(asyncio.run(main()), "wordllama" in sys.modules, "aiohttp" in sys.modules)
    """
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert ran.stdout.strip() == "(1, 256) False False", ran.stderr


async def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(errors.ConfigError, match="pip install wordllama"):
        async with open_embedder("local"):
            pass


async def test_missing_file_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_local, "_folder", lambda: tmp_path)
    with pytest.raises(errors.ConfigError, match="missing: reinstall wordllama"):
        async with open_embedder("local"):
            pass


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
async def test_every_text_gets_unit_length_or_zero(texts: list[str]) -> None:
    vectors, tokens = model().embed(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.isfinite(vectors).all()
    assert all(n == 0 or n == pytest.approx(1, abs=1e-5) for n in lengths)
    assert (tokens == 0) == (not lengths.any())
