"""Where an embeddings server is, and how it may be used."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from aip_pipeline._errors import ConfigError

Concurrency: TypeAlias = Literal["adaptive"] | int

VENDOR: Final = "https://api.openai.com/v1"
KEY_VARIABLES: Final = ("AIP_API_KEY", "OPENAI_API_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Say where the server is, and how it may be used.

    Args:
        base_url: where the API starts, without credentials, query or fragment.
        api_key: sent as a bearer token, never shown; None sends none.
        concurrency: requests in flight at once, or ``"adaptive"``.
        rpm: requests per minute, or None for no such limit.
        tpm: tokens per minute, or None for no such limit.
        deadline_s: how long one request may take with all its waits.

    Raises:
        ConfigError: an address, key or number that cannot be right.
    """

    base_url: str = VENDOR
    api_key: str | None = field(default=None, repr=False)
    concurrency: Concurrency = "adaptive"
    rpm: float | None = None
    tpm: float | None = None
    deadline_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what the server or its client would trip over later."""
        _check_url(self.base_url)
        _check_key(self.api_key)
        if self.api_key is None and self.base_url == VENDOR:
            raise ConfigError(
                f"{VENDOR} needs a key: set {' or '.join(KEY_VARIABLES)}, or give the "
                "base URL of a server of your own"
            )
        limits: dict[str, float | str | None] = {
            "concurrency": self.concurrency,
            "rpm": self.rpm,
            "tpm": self.tpm,
        }
        limits["deadline_s"] = self.deadline_s
        for name, value in limits.items():
            if value not in {None, "adaptive"} and not _positive(value):
                raise ConfigError(f"{name} must be above 0, not {value!r}")

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    @property
    def pace(self) -> str:
        """What a request waits for that must keep to a rate."""
        if self.tpm is not None:
            return "tokens per minute" if self.rpm is None else "the declared rate"
        return "the server's rate" if self.rpm is None else "requests per minute"


def key_from_environment() -> str | None:
    """Return the first key that is set; an empty one counts as not set."""
    values = (os.environ.get(name, "").strip() for name in KEY_VARIABLES)
    return next((value for value in values if value), None)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
        sound = sound and parts.port != 0
    except ValueError:
        raise ConfigError(
            f"the base URL cannot be read: {url.rpartition('@')[2]!r}"
        ) from None
    if "@" in (parts.netloc if sound else url):
        # The address is not repeated here: it holds what must stay secret.
        raise ConfigError(
            "the base URL holds a user or password: put the key into "
            f"{KEY_VARIABLES[0]} instead"
        )
    if not sound or parts.query or parts.fragment:
        shown = url.partition("?")[0].partition("#")[0]
        raise ConfigError(
            f"the base URL {shown!r} cannot be right: write it like "
            "http://127.0.0.1:8000/v1, without a query"
        )


def _check_key(key: str | None) -> None:
    if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
        raise ConfigError(
            "the API key is empty or holds characters that no key has: copy it again"
        )


def _positive(value: float | str | None) -> bool:
    return isinstance(value, int | float) and value > 0
