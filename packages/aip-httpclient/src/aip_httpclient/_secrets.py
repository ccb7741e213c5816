"""What must never be shown, and where it must never be sent."""

from __future__ import annotations

import re
from base64 import b64encode
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
_BEGINNING = 16  # characters by which a value that was cut off is known
_REST = rb"[\w.~+/=%\\-]*"


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

    As they were sent, or as JSON, HTML or an address would write them, whole or cut
    off after sixteen characters or more.

    Args:
        headers: what was sent; of each, the credentials among them.
        url: where to; its password and the credentials in its query.
    """

    __slots__ = ("_found",)

    def __init__(self, headers: Iterable[Mapping[str, str]], *, url: URL) -> None:
        values = {url.password or "", _basic(url)}
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


def _basic(url: URL) -> str:
    """Give what user and password become in a header (RFC 7617)."""
    if url.password is None:
        return ""
    pair = f"{url.user or ''}:{url.password}".encode()
    return b64encode(pair).decode("ascii")


@lru_cache(maxsize=64)
def _pattern(values: frozenset[str]) -> re.Pattern[bytes] | None:
    # The longest first: a shorter one must not leave its end behind.
    ordered = sorted(values, key=len, reverse=True)
    found = [re.escape(_encoded(value)) for value in ordered]
    found += map(_echo, ordered)
    # A long one that the server cuts off is known by how it begins.
    found += (_echo(v[:_BEGINNING]) + _REST for v in ordered if len(v) > 2 * _BEGINNING)
    return re.compile(b"|".join(found)) if found else None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _echo(part: str) -> bytes:
    """Match *part* in all the ways in which a server may write it.

    Each character's match is final (an atomic group), so that what nearly matches
    takes no more time than what does.
    """
    units = re.findall(r"\\+|[^\\]", part)
    return b"".join(
        _backslashes(len(each)) if each[0] == "\\" else _forms(each) for each in units
    )


def _backslashes(number: int) -> bytes:
    """Match a run of backslashes: encoded, or doubled, and doubled again."""
    once = rb"%5[cC]", rb"&#0*92;", rb"&#[xX]0*5[cC];", rb"\\{1,3}u005[cC]"
    written = [rb"(?:%s){%d}" % (each, number) for each in once]
    written.append(rb"\\{%d,%d}" % (number, 4 * number))
    return b"(?>" + b"|".join(written) + b")"


def _forms(character: str) -> bytes:
    if character.isascii() and character.isalnum():
        return character.encode()
    written = [
        b"".join(rb"\\{1,3}u(?i:%04x)" % unit for unit in _units(character)),
        b"".join(b"(?i:%%%02x)" % byte for byte in _encoded(character)),
        re.escape(_encoded(escape(character))),
        b"&#0*%d;" % ord(character),
        b"&#(?i:x0*%x);" % ord(character),
        # JSON and repr, and JSON within JSON, put backslashes before some.
        rb"\\{0,3}" + re.escape(_encoded(character)),
    ]
    return b"(?>" + b"|".join(written) + b")"


def _units(character: str) -> list[int]:
    """Split a character into UTF-16, as JSON escapes it."""
    wide = character.encode("utf-16-be", "surrogatepass")
    return [wide[i] << 8 | wide[i + 1] for i in range(0, len(wide), 2)]
