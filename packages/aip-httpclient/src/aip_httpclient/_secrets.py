"""What must never be shown, and where it must never be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from yarl import URL

_CREDENTIAL = re.compile(
    r"auth|cookie|secret|passw|signature|token|api-?key|access-?key", re.IGNORECASE
)
_MASK = b"***"
# To the last @: a password that was not quoted may hold any of /?#@.
_USERINFO = re.compile(r"^([^/?#@]*//)?.*@", re.DOTALL)
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
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


def masked(address: str) -> str:
    """Return *address* without its secrets, even where it cannot be parsed.

    >>> masked("htp://u:p@h/a?key=1#f")
    'htp://***@h/a?***'
    """
    return _QUERY.sub(r"\1***", _USERINFO.sub(r"\1***@", address))


class Redactor:
    """Mask the credentials of known headers wherever a server echoes them."""

    __slots__ = ("_found",)

    def __init__(self, headers: Iterable[Mapping[str, str]]) -> None:
        values: set[bytes] = set()
        for mapping in headers:
            for name, value in mapping.items():
                # A value of another type was never sent, so it comes not back.
                if is_credential(name) and isinstance(value, str):
                    values |= {part.encode() for part in (value, *value.split())}
        parts = sorted((v for v in values if len(v) >= _SHORTEST), key=len)
        pattern = b"|".join(re.escape(part) for part in reversed(parts))
        self._found = re.compile(pattern) if pattern else None

    def __call__(self, text: bytes) -> bytes:
        """Return *text* with every credential replaced by ``***``."""
        return text if self._found is None else self._found.sub(_MASK, text)
