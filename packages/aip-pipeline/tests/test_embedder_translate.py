from __future__ import annotations

import pytest

from aip_httpclient import (
    BodyTooLarge,
    CallError,
    ConnectError,
    DeadlineExceeded,
    Facts,
    StatusFailed,
    StatusRefused,
    TransportError,
)
from aip_pipeline import _errors as errors
from aip_pipeline.embedders._translate import translated
from aip_pipeline.mirrors._translate import translated as mirror_translated

URL = "http://h/v1/embeddings"


def failed(
    leaf: type[CallError], what: str, *, status: int | None = None, reason: str = ""
) -> CallError:
    facts = Facts(
        method="POST", url=URL, attempts=2, elapsed_s=1.5, status=status, reason=reason
    )
    return leaf(what, facts=facts)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_texts_are_to_blame_for(status: int) -> None:
    error = translated(failed(StatusRefused, "answered", status=status, reason="why"))
    assert isinstance(error, errors.EmbedderRefused)
    assert (error.status, error.reason) == (status, "why")
    assert str(error) == f"{URL} refused the texts: {status} why"


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 405, 418, 429])
def test_settings_are_to_blame_for(status: int) -> None:
    error = translated(failed(StatusRefused, "answered", status=status, reason="why"))
    assert isinstance(error, errors.EmbedderDenied)
    assert error.status == status
    assert f"{status} why: check the " in str(error)


@pytest.mark.parametrize(
    "error",
    [
        failed(StatusFailed, "answered 500", status=500, reason="why"),
        failed(StatusFailed, "answered 429", status=429, reason="why"),
        failed(StatusRefused, "answered 501", status=501, reason="why"),
        failed(TransportError, "connection broke", reason="why"),
        failed(DeadlineExceeded, "deadline of 15 s passed", reason="why"),
    ],
)
def test_server_is_to_blame_for(error: CallError) -> None:
    made = translated(error)
    assert isinstance(made, errors.EmbedderUnavailable)
    assert str(made).startswith(f"no embeddings from {URL}: {error.what}: why ")
    assert "(2 attempts, 1.5 s)" in str(made)


def test_a_deadline_says_what_is_kept_and_what_to_do() -> None:
    what = "the deadline of 9 s would pass before the next attempt"
    asked = str(translated(failed(DeadlineExceeded, what, status=429)))
    assert asked.endswith(
        ": the server asks to wait longer; what was stored is kept: run the same "
        "command again later, or let aip ingest wait with a longer --deadline"
    )
    down = str(translated(failed(DeadlineExceeded, what, status=503)))
    assert down.endswith(
        ": what was stored is kept: run the same command again when the server is well"
    )


def test_a_deadline_at_an_address_of_nobody_asks_for_the_address() -> None:
    what = "the deadline of 9 s has passed; the last attempt: cannot connect: no name"
    error = failed(DeadlineExceeded, what)
    assert str(translated(error)).endswith(
        ": what was stored is kept: is the server running, and the base URL right?"
    )
    told = str(mirror_translated(error, name="pinecone:https://h", rows=False))
    assert told.endswith(": check the index's host and the network")


def test_connection_is_to_blame_for_no_answer_at_all() -> None:
    error = failed(ConnectError, "cannot connect: no such name")
    error.__cause__ = OSError(-2, "Name or service not known")
    assert "cannot connect: no such name (2 attempts" in str(translated(error))
    error.__cause__ = ConnectionRefusedError(111, "Connect call failed ('::1', 1)")
    assert "connection refused (2 attempts" in str(translated(error)).lower()


def test_answer_too_large_may_be_smaller_for_fewer_texts() -> None:
    error = translated(failed(BodyTooLarge, "body is larger"))
    assert isinstance(error, errors.EmbedderRefused)
    assert error.status == 413


def test_status_without_a_reason_is_said_once() -> None:
    error = translated(failed(StatusRefused, "answered 404 Not Found", status=404))
    assert f"{URL} denied the request: answered 404 Not Found: check" in str(error)
