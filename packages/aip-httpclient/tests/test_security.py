from __future__ import annotations

import asyncio
import gzip
import html
import json
import logging
import pickle
import ssl
import time
import traceback
import tracemalloc
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from yarl import URL

from aip_httpclient import (
    AsyncHttpClient,
    BodyTooLarge,
    CallError,
    ConnectError,
    Event,
    InvalidRequest,
    Retry,
    StatusRefused,
    TransportError,
)
from aip_httpclient._secrets import Redactor
from aip_httpclient.testing import Faults, FaultServer

SECRET = "sk-very-secret"  # noqa: S105  # of nobody
CREDENTIALS = {
    "Authorization": f"Bearer {SECRET}",
    "X-Api-Key": SECRET,
    "Api-Key": SECRET,
    "Cookie": f"session={SECRET}",
}


async def test_a_redirect_within_the_origin_keeps_the_credentials() -> None:
    async def move(request: web.Request) -> web.Response:
        if request.path == "/old":
            return web.Response(status=307, headers={"Location": "/new"})
        return web.json_response({"key": request.headers["X-Api-Key"]})

    async with (
        FaultServer(handler=move) as server,
        AsyncHttpClient(base_url=server.url, headers=CREDENTIALS) as client,
    ):
        response = await client.get("old")
    assert response.json() == {"key": SECRET}


async def test_a_cross_origin_redirect_drops_every_credential() -> None:
    seen: dict[str, str] = {}

    async def note(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.Response()

    async with FaultServer(handler=note) as other:

        async def away(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{other.url}/x"})

        headers = {**CREDENTIALS, "X-Plain": "1"}
        async with (
            FaultServer(handler=away) as server,
            AsyncHttpClient(base_url=server.url, headers=headers) as client,
        ):
            assert (await client.get("x")).status == 200
    assert seen["X-Plain"] == "1"
    assert not set(CREDENTIALS) & set(seen)
    assert SECRET not in str(seen)


async def test_a_post_is_never_redirected() -> None:
    async def away(_: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "/elsewhere"})

    async with (
        FaultServer(handler=away) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.post("x", json=1, idempotent=True)
        assert (caught.value.status, caught.value.attempts) == (308, 1)
        assert server.model.arrived == 1


async def test_a_loop_of_redirects_ends() -> None:
    async def around(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/x"})

    async with (
        FaultServer(handler=around) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(TransportError, match="more than 10 redirects") as caught:
            await client.get("x")
    assert caught.value.attempts == 1


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://h/x", "http://["])
async def test_a_redirect_elsewhere_than_http_is_not_followed(where: str) -> None:
    async def away(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    async with (
        FaultServer(handler=away) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        with pytest.raises(StatusRefused):
            await client.get("x")


async def test_a_bomb_is_refused_within_8_mib() -> None:
    packed = gzip.compress(bytes(64 * 2**20))
    assert len(packed) < 70_000

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with (
        FaultServer(handler=bomb) as server,
        AsyncHttpClient(base_url=server.url, max_body_bytes=2**20) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(BodyTooLarge):
                await client.get("x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * 2**20


async def test_a_bomb_in_a_failing_answer_is_cut() -> None:
    packed = gzip.compress(bytes(64 * 2**20))

    async def bomb(_: web.Request) -> web.Response:
        headers = {"Content-Encoding": "gzip"}
        return web.Response(status=400, body=packed, headers=headers)

    async with (
        FaultServer(handler=bomb) as server,
        AsyncHttpClient(base_url=server.url) as client,
    ):
        tracemalloc.start()
        try:
            with pytest.raises(StatusRefused):
                await client.get("x")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * 2**20


async def test_no_secret_reaches_a_repr_an_error_or_a_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def echo(request: web.Request) -> web.Response:
        text = str(dict(request.headers))
        return web.Response(status=403, text=text, headers={"X-Echo": text[:50]})

    caplog.set_level(logging.DEBUG)
    async with FaultServer(handler=echo) as server:
        host = server.url.removeprefix("http://")
        async with AsyncHttpClient(
            base_url=f"http://user:{SECRET}@{host}",
            headers={k: v for k, v in CREDENTIALS.items() if k != "Authorization"},
        ) as client:
            with pytest.raises(StatusRefused) as caught:
                await client.get(f"x?key={SECRET}#{SECRET}")
            shown = [str(caught.value), repr(caught.value.body), repr(client)]
            shown += [caught.value.url, caught.value.reason, caplog.text]
    assert SECRET not in " ".join(shown)


async def test_credentials_of_one_request_are_masked_like_the_clients() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=400, text=f"bad: {dict(request.headers)}")

    async with (
        FaultServer(handler=echo) as server,
        # The shorter must not leave the end of the longer behind.
        AsyncHttpClient(
            base_url=server.url, headers={"X-Api-Key": SECRET[:8]}
        ) as client,
    ):
        with pytest.raises(StatusRefused) as caught:
            await client.get("x", headers={"Authorization": f"Bearer {SECRET}"})
    error = caught.value
    assert "bad: " in error.reason
    for text in (str(error), error.reason, error.body.decode()):
        assert SECRET[:8] not in text
        assert SECRET[-6:] not in text


ADDRESSES = [
    f"htp://user:{SECRET}@h/x?key={SECRET}",
    f"http://user:{SECRET}@[::1?key={SECRET}",
    f"http://user:{SECRET}/@h:x#{SECRET}",
    f"user:{SECRET}@h",
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_refused_address_is_shown_without_its_secrets(address: str) -> None:
    with pytest.raises(ValueError, match=r"base_url='.*\*\*\*@.*' is not") as refused:
        AsyncHttpClient(base_url=address)
    async with AsyncHttpClient() as client:
        with pytest.raises(
            InvalidRequest, match=r"path '.*\*\*\*@.*' is not"
        ) as caught:
            await client.get(address)
    for error in (refused.value, caught.value):
        assert SECRET not in "".join(traceback.format_exception(error))


async def test_a_bad_header_is_named_without_its_value() -> None:
    values: list[object] = [f"{SECRET}\n", f"{SECRET}\0", SECRET.encode(), None]
    async with FaultServer() as server, AsyncHttpClient(base_url=server.url) as client:
        for value in values:
            headers = {"Authorization": value}
            with pytest.raises(
                InvalidRequest, match="header 'Authorization'"
            ) as caught:
                await client.get("x", headers=headers)  # type: ignore[arg-type]  # the point
            assert SECRET not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(InvalidRequest, match="header None"):
            await client.get("x", headers={None: "x"})  # type: ignore[dict-item]  # the point
        assert (client.stats.in_flight, client.stats.retries) == (0, 0)
        assert (await client.get("x")).status == 200
        assert server.model.arrived == 1


ODD = 'sk-"quoted"/back\\slash-<ä&😀>'


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(text).replace("/", "\\/").replace("<", "\\u003C"),
        lambda text: json.dumps(json.dumps(text)),
        repr,
        html.escape,
        lambda text: quote(text, safe=""),
        lambda text: "".join(f"&#x{ord(c):X};" if not c.isalnum() else c for c in text),
    ],
)
def test_an_echo_is_masked_however_it_is_written(write: Callable[[str], str]) -> None:
    redactor = Redactor([{"X-Api-Key": ODD}], url=URL("http://h/"))
    said = f"your key {write(ODD)} is wrong"
    masked = redactor.text(said)
    for part in ("sk-", "quoted", "back", "slash"):
        assert part not in masked
    assert masked.startswith("your key")
    assert masked.endswith("is wrong")


def test_the_credentials_in_an_address_are_masked() -> None:
    url = URL(f"http://user:{SECRET}@h/x?api_key={SECRET}2&key={SECRET}3&page=123456")
    redactor = Redactor([], url=url)
    said = f"{SECRET} {SECRET}2 {SECRET}3 123456"
    assert redactor.text(said) == "*** *** *** 123456"


TOKEN = ".".join(f"eyJ{n}-abc_DEF-ghi_JKL" for n in range(40))


@pytest.mark.parametrize("cut", [17, 400, 798])
def test_an_echo_that_is_cut_off_is_masked_and_soon(cut: int) -> None:
    redactor = Redactor([{"Authorization": f"Bearer {TOKEN}"}], url=URL("http://h/"))
    began = time.process_time()
    assert redactor.text(f"invalid token {TOKEN[:cut]}") == "invalid token ***"
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("secret", "said"),
    [("-" * 20 + "abcdef", "-" * 2000), ("\\" * 12 + "xyz", "\\" * 2000)],
)
def test_what_nearly_matches_takes_no_time(secret: str, said: str) -> None:
    redactor = Redactor([{"X-Api-Key": secret}], url=URL("http://h/"))
    began = time.process_time()
    redactor.text(said)
    assert time.process_time() - began < 1


def test_user_and_password_are_masked_as_the_header_they_become() -> None:
    redactor = Redactor([], url=URL(f"http://user:{SECRET}@h/"))
    sent = b64encode(f"user:{SECRET}".encode()).decode()
    assert redactor.text(f"Authorization: Basic {sent}") == "Authorization: Basic ***"


def raw_answer(answer: bytes) -> Callable[..., Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return serve


ANSWERS = [
    b"HTTP/1.1 403 no %s here\r\nX-Said: it is %s\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 No\r\nSet-Cookie: s=%s\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 403 No\r\n%s a broken: header\r\n\r\n",
    b"HTTP/1.1 403 No\r\nContent-Length: 40\r\n\r\n%s",
]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_no_part_of_an_answer_shows_a_secret_in_an_error(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    caplog.set_level(logging.DEBUG)
    answer = answer.replace(b"%s", SECRET.encode())
    server = await asyncio.start_server(raw_answer(answer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with (
        server,
        AsyncHttpClient(
            base_url=f"http://{host}:{port}",
            headers={"X-Api-Key": SECRET},
            retry=Retry(attempts=1),
            on_event=events.append,
        ) as client,
    ):
        with pytest.raises(CallError) as caught:
            await client.get("x")
    error = caught.value
    shown = [repr(error), str(error.history), str(error.headers), repr(events)]
    shown += ["".join(traceback.format_exception(error)), caplog.text]
    assert SECRET not in " ".join(shown)
    if error.headers:
        assert pickle.loads(pickle.dumps(error)).headers == error.headers  # noqa: S301  # our own bytes


@pytest.mark.parametrize("method", [None, b"POST", 7, ["POST"]])
async def test_a_method_that_is_no_text_is_refused(method: object) -> None:
    async with AsyncHttpClient(mint_idempotency_keys=True) as client:
        with pytest.raises(InvalidRequest, match=r"method .* not str"):
            await client.request(method, "http://127.0.0.1:9/")  # type: ignore[arg-type]  # the point


async def test_a_method_in_small_letters_is_the_same() -> None:
    async with (
        FaultServer(Faults(error_rate=1.0)) as server,
        AsyncHttpClient(base_url=server.url, retry=Retry(base_s=0.001)) as client,
    ):
        with pytest.raises(CallError) as caught:
            await client.request("get", "x")
    assert (caught.value.method, caught.value.attempts) == ("GET", 6)


@pytest.mark.parametrize("path", [None, 7, b"x", URL(f"http://u:{SECRET}@h/x")])
async def test_a_path_that_is_no_text_is_refused_and_not_shown(path: object) -> None:
    async with AsyncHttpClient(base_url="http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequest, match=r"path .* not str") as caught:
            await client.get(path)  # type: ignore[arg-type]  # the point
    assert SECRET not in str(caught.value)


async def test_a_certificate_that_nobody_vouches_for_is_refused_at_once() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1))
        writer.close()

    # Its key is public, for it stands in this folder: of use to tests only.
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    headers = {"X-Api-Key": SECRET}
    async with (
        server,
        AsyncHttpClient(
            base_url=f"https://127.0.0.1:{port}", headers=headers
        ) as client,
    ):
        with pytest.raises(ConnectError, match="cannot trust the certificate") as error:
            await client.post("x", json=1, idempotent=True)
    assert error.value.attempts == 1
    assert not any(seen)
