"""Refusals that no wait cures, and those that go on for long."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from aip_httpclient import AsyncHttpClient, StatusRefused
from aip_httpclient.testing import (
    Brownout,
    FaultModel,
    Faults,
    FaultServer,
    ModelClient,
    run_in_fake_time,
)

UNPAID = [
    {"code": "insufficient_quota", "type": "insufficient_quota"},
    {"code": None, "type": "insufficient_quota"},
    {"code": "billing_hard_limit_reached", "type": "invalid_request_error"},
    {"code": "project_spend_limit_exceeded", "type": "insufficient_quota"},
    {"code": "credit_balance_exhausted"},
    {"type": "exceeded_current_quota_error"},
    {"type": "budget_exceeded", "code": "429"},
]


@pytest.mark.parametrize("error", UNPAID)
@pytest.mark.parametrize("status", [429, 200])
async def test_a_429_that_only_a_payment_ends_is_final(
    error: dict[str, str], status: int
) -> None:
    async def poor(_: web.Request) -> web.Response:
        said = {"error": error | {"message": "You exceeded your quota."}}
        headers = {"Retry-After": "1"}
        return web.json_response(said, status=status, headers=headers)

    async with (
        FaultServer(handler=poor) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(StatusRefused, match="You exceeded your quota") as caught:
            await client.post("x", json=1, idempotent=True)
    assert (caught.value.status, caught.value.attempts) == (429, 1)


@pytest.mark.parametrize(
    "body", [b"insufficient_quota", b"[]", b'{"error": "busy"}', b'{"error": {}}']
)
async def test_a_429_is_believed_to_pass_unless_its_code_says_otherwise(
    body: bytes,
) -> None:
    answers = [(429, body), (200, b"{}")]

    async def busy(_: web.Request) -> web.Response:
        status, said = answers.pop(0)
        headers = {"retry-after-ms": "1"}
        return web.Response(status=status, body=said, headers=headers)

    async with (
        FaultServer(handler=busy) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        assert (await client.post("x", json=1)).attempts == 2


async def test_the_servers_word_on_repeating_goes_before_its_code() -> None:
    said = json.dumps({"error": {"code": "insufficient_quota"}})
    answers = [(429, said), (200, "{}")]

    async def unsure(_: web.Request) -> web.Response:
        status, text = answers.pop(0)
        headers = {"retry-after-ms": "1", "x-should-retry": "true"}
        return web.Response(status=status, text=text, headers=headers)

    async with (
        FaultServer(handler=unsure) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        assert (await client.post("x", json=1)).attempts == 2


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_nothing_but_refusals_has_come_is_told(status: int) -> None:
    async def main() -> list[float]:
        long = Brownout(start_s=0, end_s=30, status=status)
        model = FaultModel(Faults(brownouts=(long,)))
        async with ModelClient(model=model, seed=1) as client:
            seen = [client.stats.refused_s]
            calls = [client.post("http://model/", json=i) for i in range(4)]
            task = asyncio.gather(*calls)
            await asyncio.sleep(20)
            seen.append(client.stats.refused_s)
            await task
            return [*seen, client.stats.refused_s]

    assert run_in_fake_time(main()) == [0.0, pytest.approx(20, abs=0.1), 0.0]


def test_an_answer_of_another_kind_ends_a_row_of_refusals() -> None:
    async def main() -> float:
        statuses = [429, 422]
        model = FaultModel(Faults())
        client = ModelClient(
            model=model, seed=1, answer=lambda _: (statuses.pop(0), b"")
        )
        async with client:
            with pytest.raises(StatusRefused):
                await client.post("http://model/", json=1)
            return client.stats.refused_s

    assert run_in_fake_time(main()) == 0.0


def test_a_long_row_of_429s_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        long = Brownout(start_s=0, end_s=30, status=429)
        short = Brownout(start_s=40, end_s=45, status=429)
        model = FaultModel(Faults(brownouts=(long, short)))
        async with ModelClient(model=model, seed=1) as client:
            for i in range(60):
                await client.post("http://model/", json=i)
                await asyncio.sleep(0.5)

    run_in_fake_time(main())
    assert [record.getMessage() for record in caplog.records] == [
        "every request is refused (answered 429): waiting as asked",
        "requests are taken in again",
    ]
