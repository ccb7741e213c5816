from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
import tenacity
from aiohttp import web

from aip_httpclient import (
    AsyncHttpClient,
    AttemptTimeout,
    BodyNotJson,
    BodyTooLarge,
    ClientClosed,
    ConnectError,
    DeadlineExceeded,
    InvalidRequest,
    QueueTimeout,
    Rate,
    Retry,
    StatusFailed,
    StatusRefused,
    TransportError,
)
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    FaultServer,
    Latency,
    ModelClient,
    run_in_fake_time,
)

FAST = Retry(base_s=0.001)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def statuses(*codes: int, headers: dict[str, str] | None = None) -> Handler:
    """Answer with *codes* in turn, the last one for ever."""
    left = list(codes)

    async def answer(_: web.Request) -> web.Response:
        code = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({"n": len(left)}, status=code, headers=headers)

    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_posts_json_and_reads_the_answer() -> None:
    async def echo(request: web.Request) -> web.Response:
        sent = await request.json()
        kind = request.headers["Content-Type"]
        return web.json_response({"sent": sent, "path": request.path, "kind": kind})

    async with (
        FaultServer(handler=echo) as server,
        AsyncHttpClient(base_url=f"{server.url}/v1") as client,
    ):
        response = await client.post("embeddings", json={"input": ["ü"]})
    assert response.status == 200
    assert response.attempts == 1
    assert response.waited_s >= 0
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {
        "sent": {"input": ["ü"]},
        "path": "/v1/embeddings",
        "kind": "application/json",
    }


async def test_query_and_data_and_headers_reach_the_server() -> None:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        text = f"{request.query_string} {request.headers['X-A']} {body!r}"
        return web.Response(text=text)

    async with (
        FaultServer(handler=echo) as server,
        AsyncHttpClient(base_url=server.url, headers={"X-A": "old"}) as client,
    ):
        response = await client.post("a?b=c", data=b"\x00", headers={"X-A": "new"})
    assert response.text == "b=c new b'\\x00'"


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
async def test_retries_passing_statuses_until_success(status: int) -> None:
    handler = statuses(status, status, 200)
    async with (
        FaultServer(handler=handler) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        response = await client.post("x", json=1, idempotent=True)
        assert response.attempts == 3
        assert [a.status for a in response.history] == [status, status]
        assert client.stats.retried == {str(status): 2}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422, 501, 505])
async def test_final_statuses_are_never_repeated(status: int) -> None:
    async with (
        FaultServer(handler=statuses(status)) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.post("x", json=1, idempotent=True)
    assert (caught.value.status, caught.value.attempts) == (status, 1)


async def test_gives_up_after_the_attempts_and_says_so() -> None:
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        with pytest.raises(StatusFailed) as caught:
            await client.post("v1/x?key=secret", json=1, idempotent=True)
        error = caught.value
    assert (error.status, error.attempts, len(error.history)) == (500, 6, 6)
    assert error.url == f"{server.url}/v1/x"
    assert error.reason == "a fault, on purpose"
    assert "6 attempts" in str(error)
    assert "secret" not in str(error)


async def test_a_post_of_unknown_effect_is_not_repeated() -> None:
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        with pytest.raises(StatusFailed, match="idempotency_key") as caught:
            await client.post("x", json=1)
        assert caught.value.attempts == 1
        with pytest.raises(StatusFailed) as caught:
            await client.get("x")
        assert caught.value.attempts == 6


async def test_one_idempotency_key_serves_all_attempts() -> None:
    seen = []

    async def fail_twice(request: web.Request) -> web.Response:
        seen.append(request.headers["Idempotency-Key"])
        return web.Response(status=200 if len(seen) > 2 else 500)

    async with (
        FaultServer(handler=fail_twice) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        await client.post("x", json=1, idempotency_key="k1")
    assert seen == ["k1"] * 3


async def test_turned_away_requests_spend_no_attempts() -> None:
    handler = statuses(*[429] * 9, *[503] * 9, 200, headers={"retry-after-ms": "1"})
    async with (
        FaultServer(handler=handler) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        response = await client.post("x", json=1)
    assert response.attempts == 19


@pytest.mark.parametrize(("said", "attempts"), [("true", 3), ("false", 1)])
async def test_x_should_retry_is_obeyed(said: str, attempts: int) -> None:
    status = 400 if said == "true" else 500
    handler = statuses(status, status, 400, headers={"x-should-retry": said})
    retry = Retry(attempts=3, base_s=0.001)
    async with (
        FaultServer(handler=handler) as server,
        AsyncHttpClient(base_url=server.url, retry=retry) as client,
    ):
        with pytest.raises((StatusRefused, StatusFailed)) as caught:
            await client.post("x", json=1, idempotent=True)
    assert caught.value.attempts == attempts


async def test_retry_after_holds_the_next_attempt_back() -> None:
    handler = statuses(429, 500, 200, headers={"retry-after-ms": "40"})
    async with (
        FaultServer(handler=handler) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        started = time.monotonic()
        await client.post("x", json=1, idempotent=True)
    assert 0.08 <= time.monotonic() - started < 30


async def test_tenacity_strategies_are_accepted() -> None:
    waits = []

    def wait(state: tenacity.RetryCallState) -> float:
        waits.append(state.attempt_number)
        return 0.0

    retry = Retry(wait=wait, stop=tenacity.stop_after_attempt(3))
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, retry=retry) as client,
    ):
        with pytest.raises(StatusFailed) as caught:
            await client.post("x", json=1, idempotent=True)
    assert caught.value.attempts == 3
    assert waits == [1, 2, 3]


async def test_resets_are_retried() -> None:
    faults = Faults(reset_rate=0.3, seed=3)
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url, retry=FAST) as client,
    ):
        for _ in range(30):
            await client.post("x", json=1, idempotent=True)
        server.faults = Faults(reset_rate=1.0)
        with pytest.raises(TransportError) as caught:
            await client.post("x", json=1, idempotent=True)
        # The first may have been a kept-alive connection's end: it costs no attempt.
        assert caught.value.attempts == 7


async def test_a_hang_ends_at_the_attempt_timeout() -> None:
    retry = Retry(attempts=2, base_s=0.001)
    async with (
        FaultServer(Faults(hang_rate=1.0)) as server,
        AsyncHttpClient(
            base_url=server.url, retry=retry, attempt_timeout_s=1.0
        ) as client,
    ):
        with pytest.raises(AttemptTimeout) as caught:
            await client.post("x", json=1, idempotent=True)
        assert caught.value.attempts == 2


async def test_a_dead_server_is_reported_within_the_calls_own_deadline() -> None:
    url = f"http://user:pw@127.0.0.1:{free_port()}"
    async with AsyncHttpClient(base_url=url, retry=Retry(attempts=1000)) as client:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="annot connect") as caught:
            await client.post("x", json=1, deadline_s=1.0)
        assert time.monotonic() - started < 30
        assert caught.value.attempts >= 1
        assert "pw" not in str(caught.value)


async def test_a_dead_server_without_repeats_is_a_connect_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncHttpClient(base_url=url, retry=Retry(attempts=1)) as client:
        with pytest.raises(ConnectError):
            await client.post("x", json=1)


async def test_the_deadline_ends_a_running_attempt() -> None:
    async with (
        FaultServer(Faults(hang_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(DeadlineExceeded) as caught:
            await client.post("x", json=1, deadline_s=1.0)
    assert caught.value.attempts == 1


async def test_a_wait_beyond_the_deadline_is_not_begun_and_said_to_be_one() -> None:
    async def busy(request: web.Request) -> web.Response:
        del request
        return web.Response(status=429, headers={"Retry-After": "100"})

    async with (
        FaultServer(handler=busy) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        what = (
            "the deadline of 9 s would pass before the next attempt; the last attempt: "
        )
        with pytest.raises(DeadlineExceeded, match=what):
            await client.post("x", json=1, deadline_s=9.0)


def test_a_server_that_only_sheds_ends_at_the_deadline() -> None:
    async def main() -> tuple[int | None, str]:
        faults = Faults(brownouts=(Brownout(start_s=0, end_s=60),))
        async with ModelClient(
            model=FaultModel(faults), deadline_s=20.0, seed=1
        ) as client:
            with pytest.raises(DeadlineExceeded) as caught:
                await client.post("http://model/", json=1)
        assert 19.0 < asyncio.get_running_loop().time() <= 20.1
        return caught.value.status, caught.value.reason

    assert run_in_fake_time(main()) == (503, "brownout")


def test_time_in_our_own_queue_is_not_charged() -> None:
    async def main() -> list[float]:
        model = FaultModel(Faults(latency=Latency(median_s=1.0)))
        async with ModelClient(
            model=model, concurrency=1, deadline_s=2.0, seed=1
        ) as client:
            calls = [client.post("http://model/", json=1) for _ in range(8)]
            return [response.waited_s for response in await asyncio.gather(*calls)]

    assert max(run_in_fake_time(main())) > 3 * 2.0


def test_queue_timeout_is_separate() -> None:
    async def main() -> None:
        model = FaultModel(Faults(latency=Latency(median_s=10.0)))
        async with ModelClient(
            model=model, concurrency=1, queue_timeout_s=1.0, seed=1
        ) as client:
            first = asyncio.create_task(client.post("http://model/", json=1))
            await asyncio.sleep(0)
            with pytest.raises(QueueTimeout) as caught:
                await client.post("http://model/", json=1)
            assert caught.value.attempts == 0
            assert asyncio.get_running_loop().time() == pytest.approx(1.0)
            assert (await first).status == 200

    run_in_fake_time(main())


async def test_a_body_over_the_bound_is_refused_after_decompression() -> None:
    async def bomb(_: web.Request) -> web.Response:
        packed = gzip.compress(bytes(8_000_000))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with (
        FaultServer(handler=bomb) as server,
        AsyncHttpClient(base_url=server.url, max_body_bytes=1_000_000) as client,
    ):
        with pytest.raises(BodyTooLarge, match="max_body_bytes=1000000") as caught:
            await client.get("x")
    assert caught.value.attempts == 1


async def test_the_servers_reason_is_kept_without_our_secrets() -> None:
    async def deny(request: web.Request) -> web.Response:
        said = f"Incorrect API key: {request.headers['Authorization']}"
        return web.json_response({"error": {"message": said}}, status=401)

    headers = {"Authorization": "Bearer sk-very-secret"}
    async with (
        FaultServer(handler=deny) as server,
        AsyncHttpClient(base_url=server.url, headers=headers) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.get("x")
        error = caught.value
        assert error.reason.startswith("Incorrect API key: ")
        for text in (str(error), repr(error), repr(error.body), repr(client)):
            assert "very-secret" not in text


async def test_an_endless_error_page_is_cut() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(status=400, text="x" * 10_000_000)

    async with (
        FaultServer(handler=page) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.get("x")
    assert len(caught.value.body) == 2048
    assert len(caught.value.reason) <= 300


async def test_credentials_stay_with_their_origin() -> None:
    seen: dict[str, str] = {}

    async def note(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.Response()

    headers = {"X-Api-Key": "sk-very-secret", "X-Plain": "1"}
    async with (
        FaultServer(handler=note) as other,
        AsyncHttpClient(base_url="http://127.0.0.1:9", headers=headers) as client,
    ):
        await client.get(f"{other.url}/x")
    assert seen["X-Plain"] == "1"
    assert "X-Api-Key" not in seen


async def test_a_body_that_is_not_json_is_a_value_error() -> None:
    async def text(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async with (
        FaultServer(handler=text) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        response = await client.get("x")
    with pytest.raises(BodyNotJson):
        response.json()


async def test_unsendable_requests_are_refused() -> None:
    async with AsyncHttpClient() as client:
        with pytest.raises(InvalidRequest, match="base_url"):
            await client.get("x")
        with pytest.raises(InvalidRequest, match="encoded"):
            await client.post("http://127.0.0.1:9/", json=object())
        with pytest.raises(InvalidRequest, match="both"):
            await client.post("http://127.0.0.1:9/", json=1, data=b"1")
        with pytest.raises(InvalidRequest, match=r"cannot be sent: .*label"):
            await client.get(f"http://{'a' * 70}.example/")
        with pytest.raises(InvalidRequest, match=r"cannot be sent: .*'G T'"):
            await client.request("G T", "http://127.0.0.1:9/")


async def test_a_closed_client_says_so() -> None:
    client = AsyncHttpClient()
    with pytest.raises(ClientClosed):
        await client.get("http://127.0.0.1:9/")
    async with client:
        with pytest.raises(ClientClosed):
            await client.__aenter__()
    with pytest.raises(ClientClosed):
        await client.get("http://127.0.0.1:9/")


async def test_concurrency_is_never_exceeded() -> None:
    faults = Faults(latency=Latency(median_s=0.005))
    async with (
        FaultServer(faults) as server,
        AsyncHttpClient(base_url=server.url, concurrency=3) as client,
    ):
        await asyncio.gather(*[client.post("x", json=1) for _ in range(30)])
        assert server.peak == 3
        stats = client.stats
    assert (stats.in_flight, stats.queued, stats.limit) == (0, 0, 3)
    assert (stats.calls, stats.sent, stats.failed, stats.retries) == (30, 30, 0, 0)
    assert stats.latency_s["p50"] <= stats.latency_s["p99"]


async def test_cancelled_calls_give_their_slots_back() -> None:
    async with (
        FaultServer(Faults(hang_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, concurrency=2) as client,
    ):
        tasks = [asyncio.create_task(client.get("x")) for _ in range(6)]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)
        assert (client.stats.in_flight, client.stats.queued) == (0, 0)
        server.faults = Faults()
        assert (await client.get("x")).status == 200


def test_a_declared_rate_is_kept() -> None:
    async def main() -> float:
        rate = Rate(requests=100, per_s=1)
        async with ModelClient(model=FaultModel(Faults()), rate=rate, seed=1) as client:
            await asyncio.gather(*[client.get("http://model/") for _ in range(26)])
            assert client.stats.rate_per_s == 100
            return asyncio.get_running_loop().time()

    assert 0.2 <= run_in_fake_time(main()) < 0.3


async def test_a_rate_the_server_states_is_kept_from_the_first_answer_on() -> None:
    handler = statuses(200, headers={"x-ratelimit-limit-requests": "6000"})
    async with (
        FaultServer(handler=handler) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        await client.get("x")
        assert client.stats.rate_per_s == 100


async def test_closing_the_client_sends_home_whoever_waits() -> None:
    async with FaultServer(Faults(hang_rate=1.0)) as server:
        async with AsyncHttpClient(
            base_url=server.url, concurrency=2, rate=Rate(requests=100, per_s=1)
        ) as client:
            calls = [
                asyncio.create_task(client.post("x", json=i, idempotent=True))
                for i in range(6)
            ]
            await asyncio.sleep(0.05)
            assert client.stats.queued == 4
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, ClientClosed) for error in ended)
    assert (client.stats.in_flight, client.stats.queued) == (0, 0)


async def test_closing_the_client_sends_home_whoever_the_rate_holds() -> None:
    rate = Rate(requests=1, per_s=60)
    async with FaultServer() as server:
        async with AsyncHttpClient(base_url=server.url, rate=rate) as client:
            assert (await client.get("x")).status == 200
            waiting = asyncio.create_task(client.get("x"))
            await asyncio.sleep(0)
            assert client.stats.queued == 1
        async with asyncio.timeout(5):
            with pytest.raises(ClientClosed):
                await waiting
