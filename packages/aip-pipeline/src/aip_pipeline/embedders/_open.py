"""From the words after `--embedder` to an embedder."""

from __future__ import annotations

from dataclasses import replace

from aip_pipeline._errors import ConfigError
from aip_pipeline.embedders._endpoint import (
    VENDOR,
    Concurrency,
    Endpoint,
    key_from_environment,
)
from aip_pipeline.embedders._protocol import Embedder
from aip_pipeline.embedders._spec import Spec


def open_embedder(
    spec: str,
    *,
    base_url: str | None = None,
    dimensions: int | None = None,
    api_key: str | None = None,
    concurrency: Concurrency = "adaptive",
    rpm: float | None = None,
    tpm: float | None = None,
    deadline_s: float = 600.0,
) -> Embedder:
    """Make the embedder that *spec* names; ``async with`` loads or connects it.

    Args:
        spec: ``local`` (in-process, offline, no key) or ``openai:MODEL`` (any
            OpenAI-compatible server), or the `Embedder.spec` of an earlier one.
        base_url: where the server's API starts, as ``http://127.0.0.1:8000/v1``;
            the vendor's own by default.
        dimensions: shorten the vectors to this length, if the model can.
        api_key: the server's key; AIP_API_KEY or OPENAI_API_KEY by default.
        concurrency: requests in flight at once, or ``"adaptive"``.
        rpm: requests per minute to stay within.
        tpm: tokens per minute to stay within.
        deadline_s: how long one request may take with all its waits, such as for a
            server that went away, or that asks to wait.

    Raises:
        ConfigError: no such embedder, an option it cannot take, or no key.

    >>> open_embedder("local", dimensions=64).spec
    'local:l2_supercat?dimensions=64'
    """
    asked = _with_dimensions(Spec.parse(spec), dimensions)
    if asked.provider == "local":
        if base_url is not None:
            raise ConfigError(
                "the local embedder calls no server: with a base URL, name the "
                "server's model as openai:MODEL"
            )
        from aip_pipeline.embedders._local import (  # noqa: PLC0415  # numpy is heavy
            LocalEmbedder,
        )

        return LocalEmbedder(asked)
    if asked.provider == "openai" and asked.model:
        from aip_pipeline.embedders._openai import (  # noqa: PLC0415  # so is aiohttp
            OpenAIEmbedder,
        )

        endpoint = Endpoint(
            base_url=VENDOR if base_url is None else base_url.strip().rstrip("/"),
            api_key=key_from_environment() if api_key is None else api_key.strip(),
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            deadline_s=deadline_s,
        )
        return OpenAIEmbedder(asked, endpoint=endpoint)
    raise ConfigError(f"unknown embedder {spec!r}: use 'local' or 'openai:MODEL'")


def _with_dimensions(spec: Spec, dimensions: int | None) -> Spec:
    """Add the option to the spec, unless they contradict each other."""
    if dimensions is None or spec.dimensions == dimensions:
        return spec
    if spec.dimensions is not None:
        raise ConfigError(
            f"embedder {spec.written()!r} says {spec.dimensions} dimensions, but "
            f"{dimensions} were asked for: give the length once"
        )
    return replace(spec, dimensions=dimensions)
