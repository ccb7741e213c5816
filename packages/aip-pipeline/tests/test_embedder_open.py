from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from aip_pipeline._errors import ConfigError
from aip_pipeline.embedders import open_embedder
from aip_pipeline.embedders._endpoint import Endpoint
from aip_pipeline.embedders._spec import Spec

OWN = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def _no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIP_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize("spec", ["", "locl", "cohere:x", "openai", "openai:", ":x"])
def test_unknown_embedder_names_those_that_exist(spec: str) -> None:
    with pytest.raises(ConfigError, match="'local' or 'openai:MODEL'") as caught:
        open_embedder(spec)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("spec", ["local?x", "local?dimensions=two", "local?size=3"])
def test_unreadable_options_are_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        open_embedder(spec)


def test_spec_and_option_must_agree_on_dimensions() -> None:
    with pytest.raises(ConfigError, match=r"64 dimensions.*128"):
        open_embedder("local?dimensions=64", dimensions=128)
    assert "64" in open_embedder("local?dimensions=64", dimensions=64).spec


@pytest.mark.parametrize("dimensions", [0, -1, 100, 512])
def test_local_refuses_a_length_it_was_not_trained_for(dimensions: int) -> None:
    with pytest.raises(ConfigError, match="64, 128 or 256"):
        open_embedder("local", dimensions=dimensions)


@pytest.mark.parametrize("spec", ["local:other", "local?prefix=a"])
def test_local_refuses_another_model_and_a_prefix(spec: str) -> None:
    with pytest.raises(ConfigError, match="local embedder"):
        open_embedder(spec)


def test_local_refuses_a_server_that_it_would_not_call() -> None:
    with pytest.raises(ConfigError, match=r"calls no server.*openai:MODEL"):
        open_embedder("local", base_url=OWN)


@given(
    provider=st.sampled_from(["local", "openai"]),
    model=st.text(st.characters(exclude_categories=["Cs"])),
    dimensions=st.none() | st.integers(0, 9999),
    prefix=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_spec_reads_what_it_writes(
    provider: str, model: str, dimensions: int | None, prefix: str
) -> None:
    spec = Spec(provider=provider, model=model, dimensions=dimensions, prefix=prefix)
    assert Spec.parse(spec.written()) == spec


def test_vendors_own_address_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="set AIP_API_KEY or OPENAI_API_KEY"):
        open_embedder("openai:m")
    monkeypatch.setenv("AIP_API_KEY", " ")
    with pytest.raises(ConfigError, match="set AIP_API_KEY or OPENAI_API_KEY"):
        open_embedder("openai:m")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    assert open_embedder("openai:m").spec == "openai:m"


def test_own_server_needs_no_key() -> None:
    assert open_embedder("openai:m", base_url=OWN).spec == "openai:m"


def test_address_is_no_part_of_the_vector_space() -> None:
    other = open_embedder("openai:m", base_url="https://other.example/v1")
    assert open_embedder("openai:m", base_url=OWN).spec == other.spec


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000/v1", "ftp://h/v1", "http://", "http://h:x/v1", "http://h?a=b"],
)
def test_address_that_cannot_be_right_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        open_embedder("openai:m", base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:canary@h/v1",
        "http://canary@h/v1",
        "http://me:canary@h:x/v1",
        "me:canary@h/v1",
        "http://h/v1#canary",
    ],
)
def test_credentials_in_the_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_embedder("openai:m", base_url=url)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["", " ", "ca\nnary", "canäry", "canary\x00"])
def test_key_that_cannot_be_sent_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        open_embedder("openai:m", base_url=OWN, api_key=key)
    assert "can" not in str(caught.value).replace("cannot", "")


def test_key_is_in_no_repr() -> None:
    endpoint = Endpoint(api_key="sk-canary")
    assert "canary" not in repr(endpoint)
    assert endpoint.headers["Authorization"] == "Bearer sk-canary"


@pytest.mark.parametrize("name", ["concurrency", "rpm", "tpm"])
@pytest.mark.parametrize("value", [0, -1])
def test_limit_of_nothing_is_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be above 0, not {value}"):
        open_embedder("openai:m", base_url=OWN, **{name: value})  # type: ignore[arg-type]  # one of the three numbers


def test_dimensions_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="dimensions must be at least 1, not 0"):
        open_embedder("openai:m", base_url=OWN, dimensions=0)
