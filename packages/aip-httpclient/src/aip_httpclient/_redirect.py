"""Where an answer points to, and what may be sent there."""

from __future__ import annotations

from collections.abc import Mapping

from yarl import URL

from ._secrets import is_credential

MOST_REDIRECTS = 10
"""Redirects followed in one attempt; the next is a failure."""

_STATUSES = frozenset({301, 302, 303, 307, 308})
_FOLLOWED = frozenset({"GET", "HEAD"})


def redirected(
    method: str, url: URL, *, status: int, headers: Mapping[str, str]
) -> URL | None:
    """Return the address to go to next, or None where none is to be followed.

    Only GET and HEAD follow: a body is never sent to an address of a server's choice.

    >>> redirected("GET", URL("http://h/a"), status=302, headers={"Location": "/b"})
    URL('http://h/b')
    """
    target = headers.get("Location")
    if method not in _FOLLOWED or status not in _STATUSES or not target:
        return None
    try:
        found = url.join(URL(target))
    except ValueError:
        return None
    return found if found.scheme in {"http", "https"} and found.host else None


def headers_for(
    target: URL, *, origin: URL, headers: Mapping[str, str]
) -> Mapping[str, str]:
    """Drop every credential where *target* is of another origin than *origin*.

    >>> sent = {"X-Api-Key": "k", "Accept": "*/*"}
    >>> headers_for(URL("http://other/"), origin=URL("http://h/"), headers=sent)
    {'Accept': '*/*'}
    """
    if target.origin() == origin.origin():
        return headers
    return {name: v for name, v in headers.items() if not is_credential(name)}
