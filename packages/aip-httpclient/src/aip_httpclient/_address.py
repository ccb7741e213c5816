"""From a base address and a path to the whole URL."""

from __future__ import annotations

from yarl import URL

from ._errors import InvalidRequest

_REMEMBERED = 256


class Addresses:
    """Join paths to a base address, remembering the first few.

    Args:
        base_url: its path is kept: ``http://h/v1`` and ``x`` make ``http://h/v1/x``.

    Raises:
        ValueError: *base_url* is not an http(s) address.
    """

    __slots__ = ("_known", "base")

    def __init__(self, base_url: str) -> None:
        self.base = URL(base_url) if base_url else None
        if self.base is not None and not _whole(self.base):
            raise ValueError(f"base_url={base_url!r} is not an http(s) address")
        self._known: dict[str, URL] = {}

    def find(self, path: str) -> URL:
        """Return the whole address of *path*.

        Raises:
            InvalidRequest: *path* is no address, and there is no base to join it to.
        """
        url = self._known.get(path)
        if url is None:
            url = self._join(path)
            if len(self._known) < _REMEMBERED:
                self._known[path] = url
        return url

    def ours(self, url: URL) -> bool:
        """Tell whether *url* has the base's origin, so may see its credentials."""
        return self.base is None or url.origin() == self.base.origin()

    def _join(self, path: str) -> URL:
        try:
            url = URL(path)
            if url.is_absolute():
                if _whole(url):
                    return url
            elif self.base is not None:
                joined = f"{self.base.path.rstrip('/')}/{url.path.lstrip('/')}"
                return self.base.with_path(joined).with_query(url.query)
        except ValueError as error:
            raise InvalidRequest(f"path {path!r} is not an address") from error
        raise InvalidRequest(
            f"path {path!r} is not an http(s) address; pass base_url= or a whole one"
        )


def _whole(url: URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.host)
