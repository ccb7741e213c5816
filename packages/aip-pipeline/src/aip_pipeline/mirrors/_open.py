"""From the words after `--mirror` to a mirror."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from aip_pipeline._errors import ConfigError
from aip_pipeline.mirrors._protocol import Mirror

KEY_VARIABLE = "PINECONE_API_KEY"
_PINECONE = "pinecone:"


def open_mirror(spec: str, *, api_key: str | None = None) -> Mirror:
    """Make the mirror that *spec* names; ``async with`` connects it.

    Args:
        spec: ``pinecone:https://INDEX-HOST[/NAMESPACE]``; the host as Pinecone shows
            it for an index.
        api_key: the server's key; PINECONE_API_KEY by default.

    Raises:
        ConfigError: no such mirror, an address that cannot be right, or no key.

    >>> open_mirror("pinecone:https://notes-1f.svc.pinecone.io/a", api_key="k").name
    'pinecone:https://notes-1f.svc.pinecone.io/a'
    """
    if not spec.startswith(_PINECONE):
        kind = re.match(r"\w*", spec)
        raise ConfigError(
            f"unknown mirror {kind.group() if kind else ''!r}: use "
            "pinecone:https://INDEX-HOST[/NAMESPACE]"
        )
    host, namespace = _address(spec.removeprefix(_PINECONE).strip())
    key = os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key
    key = key.strip()
    if not (key.isascii() and key.isprintable() and key):
        raise ConfigError(
            f"the mirror {_PINECONE}{host} needs a key: set {KEY_VARIABLE} to that of "
            "its project; nothing was done"
        )
    from aip_pipeline.mirrors._pinecone import (  # noqa: PLC0415  # aiohttp is heavy
        Index,
        PineconeMirror,
    )

    return PineconeMirror(Index(host=host, namespace=namespace, api_key=key))


def _address(url: str) -> tuple[str, str]:
    """Return where an index is, and the namespace in it; it is not repeated if bad.

    An address that holds a password must not be shown.
    """
    wrong = (
        "the mirror's address cannot be right: write "
        "pinecone:https://INDEX-HOST[/NAMESPACE], without a user, key or query"
    )
    try:
        parts = urlsplit(url)
        # In clear a key goes no further than this machine.
        secure = parts.scheme == "https" or (
            parts.scheme == "http" and _is_loopback(parts.hostname or "")
        )
        sound = secure and bool(parts.hostname)
        sound = sound and parts.port != 0
    except ValueError:
        raise ConfigError(wrong) from None
    namespace = unquote(parts.path.strip("/"))
    if not sound or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(wrong)
    if "/" in namespace or not namespace.isprintable():
        raise ConfigError(wrong)
    return f"{parts.scheme}://{parts.netloc.lower()}", namespace


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
