from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import types
from typing import Any

import pytest

import aip_httpclient
import aip_httpclient.testing
from aip_httpclient import AsyncHttpClient, Facts, Hedge, Rate, Retry, StatusRefused


@pytest.mark.parametrize("module", [aip_httpclient, aip_httpclient.testing])
def test_all_is_sorted_and_complete(module: types.ModuleType) -> None:
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in {"annotations", "testing"}
        and not inspect.ismodule(value)
    }
    assert module.__all__ == sorted(public)


@pytest.mark.parametrize("name", aip_httpclient.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert getattr(aip_httpclient, name).__doc__


@pytest.mark.parametrize(
    "bad",
    [
        Rate,
        lambda: Rate(requests=0),
        lambda: Rate(tokens=-1),
        lambda: Retry(attempts=0),
        lambda: Retry(cap_s=-1),
        lambda: Hedge(quantile=1.0),
        lambda: Hedge(budget_ratio=0.0),
        lambda: AsyncHttpClient(concurrency=0),
        lambda: AsyncHttpClient(attempt_timeout_s=0),
        lambda: AsyncHttpClient(deadline_s=-1),
        lambda: AsyncHttpClient(max_body_bytes=0),
        lambda: AsyncHttpClient(base_url="ftp://host"),
        lambda: AsyncHttpClient(base_url="host/v1"),
    ],
)
def test_settings_out_of_range_are_refused(bad: types.LambdaType) -> None:
    with pytest.raises(ValueError, match=r"="):
        bad()


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": "auto"},
        {"concurrency": 2.5},
        {"attempt_timeout_s": "5"},
        {"attempt_timeout_s": None},
    ],
)
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}="):
        AsyncHttpClient(**wrong)


@pytest.mark.parametrize("name", ["rate", "retry", "hedge"])
def test_settings_of_another_kind_are_refused(name: str) -> None:
    wrong: dict[str, Any] = {name: 5}
    with pytest.raises(TypeError, match=f"{name}=5 is not a {name.title()}"):
        AsyncHttpClient(**wrong)


def test_errors_survive_pickling() -> None:
    facts = Facts(method="GET", url="http://h/", attempts=3, status=404)
    error = pickle.loads(pickle.dumps(StatusRefused("answered 404", facts=facts)))  # noqa: S301  # our own bytes
    assert (type(error), error.status, error.attempts) == (StatusRefused, 404, 3)
    assert str(error) == "GET http://h/: answered 404 (3 attempts, 0.0 s)"


def test_importing_warns_of_nothing() -> None:
    command = [sys.executable, "-W", "error", "-c", "import aip_httpclient.testing"]
    subprocess.run(command, check=True)
