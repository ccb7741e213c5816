"""What must never be shown, and where it must never be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from yarl import URL

_CREDENTIAL = re.compile(
    r"auth|cookie|secret|passw|signature|token|api-?key|access-?key", re.IGNORECASE
)
_MASK = b"***"
_SHORTEST = 6  # masking shorter values would blot out ordinary words


def is_credential(header: str) -> bool:
    """Tell whether a header of this name carries a credential.

    >>> is_credential("X-Api-Key"), is_credential("Idempotency-Key")
    (True, False)
    """
    return _CREDENTIAL.search(header) is not None


def shown(url: URL) -> str:
    """Return *url* without user, password, query and fragment.

    >>> shown(URL("http://u:p@h/a?key=1#f"))
    'http://h/a'
    """
    return str(url.with_user(None).with_query(None).with_fragment(None))


class Redactor:
    """Mask the credentials of known headers wherever a server echoes them."""

    __slots__ = ("_found",)

    def __init__(self, headers: Iterable[Mapping[str, str]]) -> None:
        values: set[bytes] = set()
        for mapping in headers:
            for name, value in mapping.items():
                if is_credential(name):
                    values |= {part.encode() for part in (value, *value.split())}
        parts = sorted((v for v in values if len(v) >= _SHORTEST), key=len)
        pattern = b"|".join(re.escape(part) for part in reversed(parts))
        self._found = re.compile(pattern) if pattern else None

    def __call__(self, text: bytes) -> bytes:
        """Return *text* with every credential replaced by ``***``."""
        return text if self._found is None else self._found.sub(_MASK, text)
