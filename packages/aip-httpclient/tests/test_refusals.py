"""Refusals that no wait cures."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from aip_httpclient import AsyncHttpClient, StatusRefused
from aip_httpclient.testing import FaultServer

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
