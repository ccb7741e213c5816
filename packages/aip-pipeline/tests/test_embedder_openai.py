from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from openai_server import Lie, OpenAIServer, vector

from aip_pipeline import _errors as errors
from aip_pipeline.embedders import Embedder, _openai, open_embedder

KEY = "sk-canary-0123456789abcdef"
TEXTS = [f'text {number}: naïve 東京 \n\t"quoted"' for number in range(10)]


@pytest.fixture(autouse=True)
def _no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIP_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def at(server: OpenAIServer, spec: str = "openai:test", **options: Any) -> Embedder:
    return open_embedder(spec, base_url=server.base_url, **options)


def expected(texts: Sequence[str], dimensions: int = 16) -> NDArray[np.float32]:
    return np.stack([vector(text, dimensions) for text in texts])


async def test_vectors_come_in_the_order_of_the_texts() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        before = embedder.dimensions
        vectors = await embedder.embed(TEXTS)
        assert (before, embedder.dimensions) == (None, 16)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, expected(TEXTS))


async def test_request_asks_for_base64_and_names_the_model() -> None:
    async with OpenAIServer() as server, at(server, "openai:org/m:7b") as embedder:
        await embedder.embed(["a"])
    (body,) = server.bodies
    del body["headers"]
    assert body == {"model": "org/m:7b", "input": ["a"], "encoding_format": "base64"}


async def test_dimensions_are_sent_only_when_declared() -> None:
    async with OpenAIServer() as server, at(server, dimensions=8) as embedder:
        assert embedder.spec == "openai:test?dimensions=8"
        assert embedder.dimensions == 8
        assert np.array_equal(await embedder.embed(TEXTS), expected(TEXTS, 8))
    assert server.bodies[0]["dimensions"] == 8


async def test_prefix_goes_before_each_text() -> None:
    spec = "openai:e5?prefix=passage%3A%20"
    async with OpenAIServer() as server, at(server, spec) as embedder:
        await embedder.embed(["a", "b"])
        assert embedder.spec == spec
    assert server.bodies[0]["input"] == ["passage: a", "passage: b"]


async def test_trailing_slash_of_the_base_url_does_not_matter() -> None:
    async with OpenAIServer() as server:
        address = server.base_url + "/"
        async with open_embedder("openai:test", base_url=address) as embedder:
            assert (await embedder.embed(["a"])).shape == (1, 16)


async def test_no_texts_send_no_request() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        assert len(await embedder.embed([])) == 0
    assert server.requests == 0


async def test_tokens_are_those_the_server_counted() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        await embedder.embed(["x" * 40, "y" * 40])
        await embedder.embed(["z" * 80])
        usage = embedder.usage
    assert (usage.tokens, usage.texts, usage.requests) == (40, 3, 2)


async def test_estimate_learns_bytes_per_token_from_the_server() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        assert embedder.profile.bytes_per_token == 4
        await embedder.embed(["東" * 40_000])  # 3 bytes each, 1/4 token for this server
        assert embedder.profile.bytes_per_token == 8  # 12, but never believed beyond 8


async def test_one_request_in_ten_failing_loses_nothing() -> None:
    batches = [[f"{batch}/{row}" for row in range(5)] for batch in range(100)]
    async with OpenAIServer(fault_rate=0.1, seed=3) as server, at(server) as embedder:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(embedder.embed(batch)) for batch in batches]
        usage = embedder.usage
    for batch, task in zip(batches, tasks, strict=True):
        assert np.array_equal(task.result(), expected(batch))
    faults = server.statuses[500] + server.statuses[429]
    assert faults > 2
    assert usage.retries == faults
    assert usage.requests == server.requests == 100 + faults
    assert set(server.embedded.values()) == {1}


async def test_no_more_requests_in_flight_than_allowed() -> None:
    server = OpenAIServer(delay_s=0.005)
    async with server, at(server, concurrency=3) as embedder:
        assert embedder.max_in_flight == 3
        await asyncio.gather(*(embedder.embed([text]) for text in TEXTS))
    assert server.peak_in_flight == 3


async def test_first_request_goes_alone() -> None:
    async with OpenAIServer(delay_s=0.02) as server, at(server) as embedder:
        calls = [asyncio.create_task(embedder.embed([text])) for text in TEXTS]
        while not server.requests:
            assert server.peak_in_flight <= 1
            await asyncio.sleep(0.001)
        await asyncio.gather(*calls)
    assert server.peak_in_flight > 1


async def test_wrong_key_is_denied_at_once_and_never_shown() -> None:
    async with OpenAIServer(key="other") as server, at(server, api_key=KEY) as embedder:
        with pytest.raises(errors.EmbedderDenied) as caught:
            await embedder.embed(TEXTS)
    assert server.requests == 1
    assert caught.value.status == 401
    said = str(caught.value)
    assert "401 Incorrect API key provided" in said
    assert "check the key in AIP_API_KEY or OPENAI_API_KEY" in said
    assert KEY not in said + repr(caught.value) + repr(caught.value.__cause__)
    assert KEY not in repr(embedder) + repr(vars(embedder))


@pytest.mark.parametrize("variable", ["AIP_API_KEY", "OPENAI_API_KEY"])
async def test_key_comes_from_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-less-specific")
    monkeypatch.setenv(variable, KEY + "\n")
    async with OpenAIServer(key=KEY) as server, at(server) as embedder:
        await embedder.embed(["a"])


async def test_unknown_model_is_denied_with_the_servers_reason() -> None:
    async with OpenAIServer(model="other") as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderDenied, match="`test` does not exist"):
            await embedder.embed(["a"])


async def test_wrong_path_is_denied_with_advice() -> None:
    async with OpenAIServer() as server:
        address = server.base_url.removesuffix("/v1")
        async with open_embedder("openai:test", base_url=address) as embedder:
            with pytest.raises(errors.EmbedderDenied, match="usually ends in /v1"):
                await embedder.embed(["a"])


async def test_dead_server_is_reported_in_seconds_to_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _openai.FEW_ATTEMPTS == 6, "backoffs of 6.2 s at most, 3.1 s on average"
    monkeypatch.setattr(_openai, "FEW_ATTEMPTS", 3)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    address = f"http://127.0.0.1:{port}/v1"
    started = time.monotonic()
    async with open_embedder("openai:test", base_url=address) as embedder:
        calls = (embedder.embed([text]) for text in TEXTS)
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - started < 5
    assert {type(answer) for answer in answers} == {errors.EmbedderUnavailable}
    said = str(answers[0])
    assert f"cannot reach {address}/embeddings: " in said
    assert "connection refused (3 attempts" in said
    assert "is the server running" in said


async def test_server_that_never_answers_is_reported_after_the_first_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_openai, "FIRST_DEADLINE_S", 0.05)
    async with OpenAIServer(delay_s=0.2) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderUnavailable, match=r"deadline of 0\.05 s"):
            await embedder.embed(["a"])


async def test_busy_server_is_waited_for_beyond_the_first_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_openai, "FIRST_DEADLINE_S", 0.05)
    async with OpenAIServer(busy=5) as server, at(server) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, 16)
    assert server.statuses == {429: 5, 200: 1}


async def test_account_without_quota_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_openai, "FIRST_DEADLINE_S", 0.05)
    async with OpenAIServer(quota=False) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderDenied, match="check the account's quota"):
            await embedder.embed(["a"])


async def test_embedder_recovers_once_the_server_is_up() -> None:
    async with OpenAIServer(key=KEY) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderDenied):
            await embedder.embed(["a"])
        server.key = None
        assert (await embedder.embed(["a"])).shape == (1, 16)


async def test_a_server_that_went_away_is_waited_for_as_long_as_asked() -> None:
    async with OpenAIServer() as server:
        embedder = at(server, deadline_s=0.5)
        await embedder.__aenter__()
        await embedder.embed(["a"])
    try:
        began = time.monotonic()
        with pytest.raises(errors.EmbedderUnavailable, match=r"deadline of 0\.5 s"):
            await embedder.embed(["b"])
        assert time.monotonic() - began < 3
    finally:
        await embedder.__aexit__(None, None, None)


async def test_cancelled_first_call_lets_the_next_one_try() -> None:
    async with OpenAIServer(delay_s=0.02) as server, at(server) as embedder:
        first = asyncio.create_task(embedder.embed(["a"]))
        second = asyncio.create_task(embedder.embed(["b"]))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).shape == (1, 16)
        assert first.cancelled()


@pytest.mark.parametrize("poison_first", [True, False])
async def test_poison_text_is_refused_with_the_servers_reason(
    *, poison_first: bool
) -> None:
    async with OpenAIServer(poison="poison") as server, at(server) as embedder:
        if not poison_first:
            await embedder.embed(["good"])
        with pytest.raises(errors.EmbedderRefused) as caught:
            await embedder.embed(["good", "poison"])
        assert (caught.value.status, caught.value.reason) == (
            400,
            "'input' holds what the model cannot take.",
        )
        assert (await embedder.embed(["good"])).shape == (1, 16)
    assert server.bodies[-1]["encoding_format"] == "base64"


@pytest.mark.parametrize("poison_first", [True, False])
async def test_text_that_a_well_server_always_chokes_on_is_refused(
    monkeypatch: pytest.MonkeyPatch, *, poison_first: bool
) -> None:
    monkeypatch.setattr(_openai, "FEW_ATTEMPTS", 2)
    server = OpenAIServer(poison="poison", poison_status=500)
    async with server, at(server) as embedder:
        if not poison_first:
            await embedder.embed(["good"])
        with pytest.raises(errors.EmbedderRefused) as caught:
            await embedder.embed(["good", "poison"])
        assert caught.value.status == 500
        assert (await embedder.embed(["good"])).shape == (1, 16)
    assert server.statuses[500] == 2 + 1, "and once more, after harmless texts passed"


async def test_a_text_is_not_blamed_by_a_server_that_recovers_just_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_openai, "FEW_ATTEMPTS", 2)
    async with OpenAIServer() as server, at(server) as embedder:
        await embedder.embed(["good"])
        server.poison, server.poison_status = "", 500

        async def recover(_: object) -> bool:
            server.poison = None
            return True

        monkeypatch.setattr(embedder, "_is_well", recover)
        assert (await embedder.embed(["better"])).shape == (1, 16)


async def test_texts_are_not_blamed_where_the_server_is_ill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_openai, "FEW_ATTEMPTS", 2)
    monkeypatch.setattr(_openai, "ROUNDS", 3)
    async with OpenAIServer() as server, at(server) as embedder:
        await embedder.embed(["good"])
        server.poison, server.poison_status = "", 500  # every text holds it
        with pytest.raises(errors.EmbedderUnavailable, match="answered 500"):
            await embedder.embed(["good"])
    assert server.statuses[500] == 3 * (2 + 1), "two attempts and a probe, thrice"


async def test_too_large_a_batch_is_refused() -> None:
    async with OpenAIServer(max_texts=4) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderRefused, match="batch size > 4") as caught:
            await embedder.embed(TEXTS)
        assert caught.value.status == 413
        assert (await embedder.embed(TEXTS[:4])).shape == (4, 16)


async def test_server_without_base64_is_asked_for_numbers() -> None:
    refuses = frozenset({"encoding_format"})
    async with OpenAIServer(refuses=refuses) as server, at(server) as embedder:
        assert np.array_equal(await embedder.embed(TEXTS), expected(TEXTS))
        before = server.requests
        assert np.array_equal(await embedder.embed(TEXTS), expected(TEXTS))
    assert server.requests == before + 1
    assert "encoding_format" not in server.bodies[-1]


async def test_setting_the_model_cannot_take_is_denied_not_blamed_on_texts() -> None:
    server = OpenAIServer(refuses=frozenset({"dimensions"}))
    async with server, at(server, dimensions=8) as embedder:
        with pytest.raises(errors.EmbedderDenied, match="'dimensions'") as caught:
            await embedder.embed(TEXTS)
    assert caught.value.status == 400


@pytest.mark.parametrize("lie", ["lists", "shuffled"])
async def test_odd_but_right_answers_are_read(lie: Lie) -> None:
    async with OpenAIServer(lie=lie) as server, at(server) as embedder:
        assert np.array_equal(await embedder.embed(TEXTS), expected(TEXTS))


WRONG: list[tuple[Lie, str]] = [
    ("count", "9 vectors for 10 texts"),
    ("index", "the indices are not 0 to 9, each once"),
    ("dimensions", "vector 9 has 15 dimensions instead of 16"),
    ("null", "vector 9 is neither base64 nor a list of numbers"),
    ("html", "body is not JSON: '<html>Sign in</html>'"),
    ("truncated", "body is not JSON"),
]


@pytest.mark.parametrize(("lie", "said"), WRONG)
async def test_wrong_answer_is_never_taken(lie: Lie, said: str) -> None:
    async with OpenAIServer(lie=lie) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderUnavailable, match="not with embeddings") as (
            caught
        ):
            await embedder.embed(TEXTS)
    assert said in str(caught.value)
    assert server.requests == _openai.ASKS


@pytest.mark.parametrize("lie", [lie for lie, _ in WRONG])
async def test_wrong_answer_is_asked_again(lie: Lie) -> None:
    async with OpenAIServer(lie=lie, lies=2) as server, at(server) as embedder:
        assert np.array_equal(await embedder.embed(TEXTS), expected(TEXTS))
        assert embedder.usage.retries == 2


@pytest.mark.parametrize(
    ("lie", "said"),
    [("nan", "NaN or infinity in 1 of 10"), ("zero", "nothing but zeros in 1 of 10")],
)
async def test_what_no_search_finds_is_refused_so_that_the_run_can_find_its_text(
    lie: Lie, said: str
) -> None:
    async with OpenAIServer(lie=lie) as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderRefused, match=said):
            await embedder.embed(TEXTS)
    assert server.requests == 1


async def test_other_dimensions_than_declared_are_refused() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        await embedder.embed(["a"])
        server.dimensions = 8
        with pytest.raises(errors.EmbedderUnavailable, match="8 dimensions instead"):
            await embedder.embed(["b"])


async def test_lone_surrogate_is_refused_before_it_is_sent() -> None:
    async with OpenAIServer() as server, at(server) as embedder:
        with pytest.raises(errors.EmbedderRefused, match="lone surrogate"):
            await embedder.embed(["\ud800"])
    assert server.requests == 0


async def test_requests_per_minute_reach_the_client() -> None:
    async with OpenAIServer() as server, at(server, rpm=60_000, tpm=1e9) as embedder:
        await embedder.embed(["a"])
        assert isinstance(embedder, _openai.OpenAIEmbedder)
        assert embedder._client is not None
        assert embedder._client.stats.rate_per_s == 1000


async def test_closed_embedder_is_refused_and_keeps_its_usage() -> None:
    async with OpenAIServer() as server:
        embedder = at(server)
        with pytest.raises(RuntimeError, match="not open"):
            await embedder.embed(["a"])
        async with embedder:
            await embedder.embed(["a"])
        assert embedder.usage.requests == 1
        with pytest.raises(RuntimeError, match="not open"):
            await embedder.embed(["a"])
