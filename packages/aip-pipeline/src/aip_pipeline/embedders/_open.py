"""From the words after `--embedder` to an embedder."""

from __future__ import annotations

from dataclasses import replace

from aip_pipeline._errors import ConfigError
from aip_pipeline.embedders._local import LocalEmbedder
from aip_pipeline.embedders._protocol import Embedder
from aip_pipeline.embedders._spec import Spec


def open_embedder(
    spec: str,
    *,
    base_url: str | None = None,
    dimensions: int | None = None,
) -> Embedder:
    """Make the embedder that *spec* names; ``async with`` loads or connects it.

    Args:
        spec: ``local`` (in-process, offline, no key), or the `Embedder.spec` of
            an earlier one.
        base_url: where a server's API starts; `local` calls none.
        dimensions: shorten the vectors to this length, if the model can.

    Raises:
        ConfigError: no such embedder, an option it cannot take, or no key.

    >>> open_embedder("local", dimensions=64).spec
    'local:l2_supercat?dimensions=64'
    """
    asked = _with_dimensions(Spec.parse(spec), dimensions)
    if asked.provider == "local":
        if base_url is not None:
            raise ConfigError("the local embedder calls no server: drop the base URL")
        return LocalEmbedder(asked)
    raise ConfigError(f"unknown embedder {spec!r}: use 'local'")


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
