from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from aip_pipeline._errors import ConfigError
from aip_pipeline.embedders import open_embedder
from aip_pipeline.embedders._spec import Spec


@pytest.mark.parametrize("spec", ["", "locl", "cohere:x", "openai", "openai:", ":x"])
def test_unknown_embedder_names_those_that_exist(spec: str) -> None:
    with pytest.raises(ConfigError, match="use 'local'") as caught:
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
    with pytest.raises(ConfigError, match="calls no server"):
        open_embedder("local", base_url="http://127.0.0.1:8000/v1")


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
