"""What must never be shown, and where it must never be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from html import escape

from multidict import CIMultiDict
from yarl import URL

_CREDENTIAL = re.compile(
    r"auth|cookie|secret|passw|signature|token|api[-_]?key|access[-_]?key|^key$",
    re.IGNORECASE,
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
    """Mask the credentials of a request wherever the server echoes them.

    As they were sent, or as JSON, HTML or an address would write them.

    Args:
        headers: what was sent; of each, the credentials among them.
        url: where to; its password and the credentials in its query.
    """

    __slots__ = ("_found",)

    def __init__(self, headers: Iterable[Mapping[str, str]], *, url: URL) -> None:
        values = {url.password or ""}
        for mapping in (*headers, url.query):
            for name, value in mapping.items():
                # A value of another type was never sent, so it comes not back.
                if is_credential(name) and isinstance(value, str):
                    values |= {value, *value.split()}
        self._found = _pattern(frozenset(v for v in values if len(v) >= _SHORTEST))

    def __call__(self, text: bytes) -> bytes:
        """Return *text* with every credential replaced by ``***``."""
        return text if self._found is None else self._found.sub(_MASK, text)

    def text(self, text: str) -> str:
        """Return *text* with every credential replaced by ``***``."""
        if self._found is None:
            return text
        return self(text.encode("utf-8", "surrogateescape")).decode(
            "utf-8", "surrogateescape"
        )

    def headers(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        """Return a copy of an answer's headers without our credentials or its own."""
        return CIMultiDict(
            (name, "***" if is_credential(name) else self.text(value))
            for name, value in headers.items()
        )


@lru_cache(maxsize=64)
def _pattern(values: frozenset[str]) -> re.Pattern[bytes] | None:
    # The longest first: a shorter one must not leave its end behind.
    found = b"|".join(map(_echo, sorted(values, key=len, reverse=True)))
    return re.compile(found) if found else None


def _echo(part: str) -> bytes:
    """Match *part* in all the ways in which a server may write it."""
    return b"".join(_forms(each) for each in part)


def _forms(character: str) -> bytes:
    if character.isascii() and character.isalnum():
        return character.encode()
    plain = character.encode("utf-8", "surrogateescape")
    written = [
        # JSON and repr, and JSON within JSON, put backslashes before some.
        rb"\\{0,3}" + re.escape(plain),
        b"".join(rb"\\{1,3}u(?i:%04x)" % unit for unit in _units(character)),
        b"".join(b"(?i:%%%02x)" % byte for byte in plain),
        re.escape(escape(character).encode("utf-8", "surrogateescape")),
        b"&#0*%d;" % ord(character),
        b"&#(?i:x0*%x);" % ord(character),
    ]
    return b"(?:" + b"|".join(written) + b")"


def _units(character: str) -> list[int]:
    """Split a character into UTF-16, as JSON escapes it."""
    wide = character.encode("utf-16-be", "surrogatepass")
    return [wide[i] << 8 | wide[i + 1] for i in range(0, len(wide), 2)]
