"""From a base address and a path to the whole URL."""

from __future__ import annotations

from collections.abc import Mapping

from yarl import URL

from ._errors import InvalidRequest
from ._secrets import is_credential, masked

_REMEMBERED = 256


class Addresses:
    """Join paths to a base address, and say which headers may go there.

    Args:
        base_url: its path is kept: ``http://h/v1`` and ``x`` make ``http://h/v1/x``.
        headers: the client's own; credentials among them go to this origin only.

    Raises:
        ValueError: *base_url* is not an http(s) address.
    """

    __slots__ = ("_headers", "_known", "_plain", "base")

    def __init__(self, base_url: str, *, headers: Mapping[str, str]) -> None:
        self.base = _base(base_url) if base_url else None
        self._headers = dict(headers)
        self._plain = {n: v for n, v in headers.items() if not is_credential(n)}
        self._known: dict[str, tuple[URL, Mapping[str, str]]] = {}

    def find(self, path: object) -> tuple[URL, Mapping[str, str]]:
        """Return the whole address of *path*, and the headers that may go there.

        Raises:
            InvalidRequest: *path* is no address, and there is no base to join it to.
        """
        if not isinstance(path, str):
            # Not shown: it may hold a password or a key.
            raise InvalidRequest(f"the path is of type {type(path).__name__}, not str")
        found = self._known.get(path)
        if found is None:
            url = self._join(path)
            ours = self.base is None or url.origin() == self.base.origin()
            found = url, self._headers if ours else self._plain
            if len(self._known) < _REMEMBERED:
                self._known[path] = found
        return found

    def _join(self, path: str) -> URL:
        try:
            url = URL(path)
            if url.is_absolute():
                if _whole(url):
                    return url
            elif self.base is not None:
                joined = f"{self.base.path.rstrip('/')}/{url.path.lstrip('/')}"
                return self.base.with_path(joined).with_query(url.query)
        except ValueError:  # repeats the address, so it is not chained
            raise InvalidRequest(f"path {masked(path)!r} is not an address") from None
        raise InvalidRequest(
            f"path {masked(path)!r} is not an http(s) address; "
            "pass base_url= or a whole one"
        )


def _base(address: str) -> URL:
    try:
        url = URL(address)
    except ValueError:  # repeats the address, so it is not chained
        url = URL()
    if not _whole(url):
        raise ValueError(f"base_url={masked(address)!r} is not an http(s) address")
    return url


def _whole(url: URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.host)
