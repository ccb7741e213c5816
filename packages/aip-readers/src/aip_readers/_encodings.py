"""Which encoding a source has, and how to decode it piece by piece."""

from __future__ import annotations

import codecs

from ._errors import EncodingError, MissingExtraError
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import Decode

# Longest first: the UTF-32-LE mark begins with the UTF-16-LE one.
MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECODERS: dict[str, Decode] = {
    "utf-8": codecs.utf_8_decode,
    "utf-16-le": codecs.utf_16_le_decode,
    "utf-16-be": codecs.utf_16_be_decode,
    "utf-32-le": codecs.utf_32_le_decode,
    "utf-32-be": codecs.utf_32_be_decode,
}
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
# Python's euc_kr makes one syllable of eight bytes that others read as four letters;
# cp949 has all the rest of it.
_EXACT = {"euc_kr": "cp949"}
# Those that keep a state, or turn one sequence of bytes into several code points, or
# several sequences into one code point, or anything into a lone surrogate.
_INEXACT = (
    *("iso2022", "hz", "utf-7", "punycode", "idna", "undefined", "charmap"),
    *("unicode-escape", "raw-unicode-escape", "unicode_escape", "raw_unicode_escape"),
    *("big5hkscs", "euc_jis", "shift_jis_2004", "shift_jisx0213"),
)
LONGEST = 4
"""Bytes of the longest code point, in any encoding."""


def canonical(name: str) -> str:
    """Return Python's name of an encoding whose pieces keep their byte offsets.

    >>> canonical("Latin1"), canonical("UTF16")
    ('iso8859-1', 'utf-16-le')
    """
    if name == "detect":
        return name
    try:
        known = codecs.lookup(name).name
    except (LookupError, TypeError):
        raise ValueError(f"encoding {name!r} is not known to Python") from None
    known = _WITHOUT_MARK.get(known) or _EXACT.get(known, known)
    if known.startswith(_INEXACT) or not codecs.lookup(known)._is_text_encoding:  # noqa: SLF001  # the only way to ask
        raise ValueError(f"encoding {name!r} has no exact byte offsets")
    return known


def marked(head: bytes) -> tuple[str, int]:
    r"""Return the encoding a byte order mark names, and the length of the mark.

    >>> marked(b"\xff\xfea\x00"), marked(b"abc")
    (('utf-16-le', 2), ('', 0))
    """
    for mark, name in MARKS:
        if head.startswith(mark):
            return name, len(mark)
    return "", 0


def decoder(encoding: str) -> Decode:
    """Return a function that decodes whole code points and says how many bytes."""
    return _DECODERS.get(encoding) or _stateless(encoding)


# The one tilde of JIS X 0212, which would come back as the one of ASCII.
_ONE_WAY = {"euc_jp": b"\x8f\xa2\xb7"}


def _stateless(encoding: str) -> Decode:
    decode_all = codecs.lookup(encoding).decode
    one_way = _ONE_WAY.get(encoding)

    def decode(data: bytes, errors: str, final: bool) -> tuple[str, int]:  # noqa: FBT001  # the shape of codecs' own
        if one_way and (at := data.find(one_way)) >= 0:
            decode_all(data[:at], errors)
            reason = "it has no exact byte offset"
            raise UnicodeDecodeError(encoding, data, at, at + len(one_way), reason)
        try:
            return decode_all(data, errors)
        except UnicodeDecodeError as error:
            cut = len(data) - error.start < LONGEST and error.end >= len(data)
            if final or not cut:
                raise
            return decode_all(data[: error.start], errors)[0], error.start

    return decode


def detect(head: bytes, source: str, *, whole: bool) -> str:
    """Guess the encoding of *head*, the *whole* of a source or the beginning of it.

    Needs the extra ``detect`` unless it is UTF-8.
    """
    try:
        codecs.utf_8_decode(head, "strict", whole)  # C function
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    try:
        from charset_normalizer import from_bytes  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise MissingExtraError(source, "detect", "charset-normalizer") from error
    best = from_bytes(head).best()
    try:
        return canonical(best.encoding) if best else "utf-8"
    except ValueError as error:
        raise EncodingError(source, 0, 1, f"it seems that {error}") from error
