"""The name of a vector space, as it is written at `--embedder` and in a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, quote, unquote, urlencode

from aip_pipeline._errors import ConfigError

_MODEL_SAFE = "/:@+,"  # what models are called: org/name, name:tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Name a vector space: equal specs make vectors that may be compared.

    Args:
        provider: which embedder: ``local``, ``openai``.
        model: the provider's name of the model; empty for the provider's only one.
        dimensions: length the vectors were shortened to; None for the model's own.
        prefix: what is put before each text.
    """

    provider: str
    model: str = ""
    dimensions: int | None = None
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `written` writes.

        Raises:
            ConfigError: *text* is not ``PROVIDER[:MODEL][?dimensions=N&prefix=P]``.

        >>> Spec.parse("openai:bge-m3:567m?dimensions=64").model
        'bge-m3:567m'
        """
        name, _, query = text.strip().partition("?")
        provider, _, model = name.partition(":")
        try:
            options = dict(
                parse_qsl(query, keep_blank_values=True, strict_parsing=True)
            )
        except ValueError:
            options = {"": query}
        if not query:
            options = {}
        unknown = sorted(options.keys() - {"dimensions", "prefix"})
        dimensions = options.get("dimensions")
        if unknown or (dimensions is not None and not dimensions.isdecimal()):
            raise ConfigError(
                f"embedder {text!r} cannot be read: write PROVIDER:MODEL, optionally "
                "followed by ?dimensions=N"
            )
        return cls(
            provider=provider.lower(),
            model=unquote(model),
            dimensions=None if dimensions is None else int(dimensions),
            prefix=options.get("prefix", ""),
        )

    def written(self) -> str:
        """Write what `parse` reads.

        >>> Spec(provider="openai", model="bge-m3", dimensions=64).written()
        'openai:bge-m3?dimensions=64'
        """
        name = self.provider
        if self.model:
            name += ":" + quote(self.model, safe=_MODEL_SAFE)
        options: dict[str, str | int] = {}
        if self.dimensions is not None:
            options["dimensions"] = self.dimensions
        if self.prefix:
            options["prefix"] = self.prefix
        return f"{name}?{urlencode(options, quote_via=quote)}" if options else name
