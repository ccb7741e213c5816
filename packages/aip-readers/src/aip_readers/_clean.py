r"""Clean text: NFC, no control characters, plain whitespace.

What comes out is what this slow reference gives, to the letter::

    text = re.sub(CONTROLS, "", text)                # and lone surrogates: U+FFFD
    text = unicodedata.normalize("NFC", text)        # Unicode Annex 15
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub(r"[^\\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()

so that cleaning twice changes nothing, and a paragraph break stays one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from unicodedata import category, combining, normalize

if TYPE_CHECKING:
    from ._records import Record
    from ._trace import CleanPiece

Form: TypeAlias = Literal["nfc", "none"]

CONTROLS = "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]"
"""Deleted: C0 and C1 controls that are not whitespace, and a stray byte order mark."""
_CONTROLS = re.compile(CONTROLS)
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n ]")

_FINE = bytes(range(0x20, 0x7F)) + b"\n"
_DROP = bytes((*range(9), *range(0x0E, 0x1C), 0x7F))
_TO_PLAIN = bytes.maketrans(b"\t\x0b\x0c\r\x1c\x1d\x1e\x1f", b"   \n    ")


def _plain_ascii(text: str) -> str:
    data = text.encode("ascii")
    if data.translate(None, _FINE):
        data = data.translate(None, _DROP).replace(b"\r\n", b"\n")
        return data.translate(_TO_PLAIN).decode("ascii")
    return text


# All code points below U+0300 are in NFC, alone and beside each other.
_BELOW_0300 = bytes(range(0xCC))
# General punctuation (U+2000 to U+203F) without its spaces, as typographers use it, is
# in NFC too.
_PUNCTUATION = b"\xe2\x80"
# What U+0300 to U+033F, the common combining marks, begin with.
_MARKS = b"\xcc"


def _plain_unicode(text: str, *, odd: bool) -> str:
    if odd:
        text = _CONTROLS.sub("", _SURROGATES.sub("\ufffd", text))
    if _may_change_in_nfc(text.encode(), odd=odd):
        # Asks what it is given for itself first, and gives that back.
        normal = normalize("NFC", text)
        if normal is not text:
            # What normalisation makes of a character may be a space of another kind.
            odd, text = _is_odd(normal), normal
    if odd:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = _SPACES.sub(" ", text)
    return text


def _is_odd(text: str) -> bool:
    """Tell whether there may be a control, another kind of space, a surrogate.

    None of them is printable, nor is a byte order mark; a search costs ten times this.
    """
    return not text.replace("\n", "").isprintable()


def _may_change_in_nfc(data: bytes, *, odd: bool) -> bool:
    """Tell whether to look at the text; asking its UTF-8 costs a third of that."""
    if not odd:
        data = data.replace(_PUNCTUATION, b"")
    return len(data.translate(None, _BELOW_0300)) > 0


def plain(text: str) -> str:
    """Return *text* with whitespace runs shortened, but not stripped."""
    if text.isascii():
        return _shortened(_plain_ascii(text))
    return _shortened(_plain_unicode(text, odd=_is_odd(text)))


def _shortened(text: str) -> str:
    """Shorten runs of spaces and of line ends."""
    # Substring tests and replacements run at memory speed; patterns do not.
    while "  " in text:
        text = text.replace("  ", " ")
    return _plain_lines(text) if "\n" in text else text


def _plain_lines(text: str) -> str:
    """Drop the spaces around line ends, and all empty lines in a row but one."""
    lines = text.split("\n")
    # A string that has nothing to strip is returned as it is, and compared by that.
    bare = [*map(str.strip, lines)]
    if bare != lines:
        # The ends of the text are the caller's.
        bare[0], bare[-1] = lines[0].rstrip(), lines[-1].lstrip()
        text = "\n".join(bare)
    if "" in bare:
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
    return text


def is_plain(text: str) -> bool:
    """Tell whether cleaning any part of *text* would only strip it.

    Says no where it would be long to find out: beside a combining mark.
    """
    if text.isascii():
        return plain(text) == text
    if _is_odd(text) or _MARKS in text.encode():
        return False
    return _shortened(_plain_unicode(text, odd=False)) == text


def clean(text: str) -> str:
    r"""Return *text* in NFC, without control characters, with plain whitespace.

    >>> clean(" e\u0301te\u0301 \t  du\r\n\r\n\r\nsoleil\0 ")
    'été du\n\nsoleil'
    """
    return plain(text).strip()


def cleaning(form: Form) -> Callable[[str], str]:
    """Return the function that cleans as *form* says, for loops."""
    return clean if form == "nfc" else str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """How text is cleaned: ``nfc`` as described, ``none`` not at all."""

    form: Form = "nfc"

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            known = " or ".join(map(repr, get_args(Form)))
            raise ValueError(f"clean must be {known}, not {self.form!r}")

    def __call__(self, text: str) -> str:
        """Return *text*, clean."""
        return cleaning(self.form)(text)

    def trace(self, records: Iterable[Record]) -> Iterator[CleanPiece]:
        r"""Clean pieces of plain text, and map each character back to raw bytes.

        The texts together are the whole text, clean. Holds what ``clean_chunks`` does.
        With ``form="none"`` there is nothing to map: that is a ValueError.

        >>> from aip_readers import Record
        >>> pieces = [Record("a", " e\u0301 to\t b", 0, 9, 1, None, {})]
        >>> [(piece.text, piece.span(0, 1)) for piece in Cleaner().trace(pieces)]
        [('é t', (1, 4)), ('o b', (6, 7))]
        """
        if self.form == "none":
            raise ValueError("form='none' changes nothing: spans of records serve")
        from ._trace import trace  # noqa: PLC0415  # where it is asked for

        return trace(records)


HOLD = 1 << 20
"""Characters ``clean_chunks`` holds at most; past it, it cuts where it must."""


def clean_chunks(pieces: Iterable[str], *, form: Form = "nfc") -> Iterator[str]:
    """Clean a text that comes in pieces, exactly as if it came whole.

    Holds one piece, and what follows the last place where cleaning may be cut: before a
    character that composes with none before it, between two that are no whitespace.
    Where there is none for a MiB (of marks, say), the text is cut all the same.
    """
    if isinstance(pieces, str):
        raise TypeError(f"pieces of text are wanted, not one text: [{pieces[:40]!r}]")
    cleaner = Cleaner(form=form)
    if cleaner.form == "none":
        yield from pieces
        return
    gap, begun = "", False
    for raw in cut_safely(pieces):
        part = plain(raw)
        if not begun:
            part = part.lstrip()
        # Whitespace at the end may be the end of the text: keep it back.
        kept = part.rstrip()
        if kept:
            yield gap + kept if begun else kept
            gap, begun = part[len(kept) :], True
        elif part:
            gap = plain(gap + part)


def cut_safely(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces that can be cleaned one by one."""
    held, searched = "", 0
    for piece in pieces:
        held += piece
        at = last_cut(held, searched)
        if at == 0 and len(held) > HOLD:
            at = len(held) - held.endswith("\r")
        if at:
            yield held[:at]
            held = held[at:]
        searched = len(held)
    if held:
        yield held


def last_cut(text: str, low: int = 0) -> int:
    """Return the last place after *low* where cleaning may be cut, or 0.

    What stands after it composes with nothing before it (Unicode Annex 15, 13), and no
    run of whitespace is cut in two.
    """
    for at in range(len(text) - 1, max(low, 1) - 1, -1):
        if not _SOFT.match(text, at) and not _SOFT.match(text, at - 1):
            after = text[at]
            if after < "\u0300" or not (is_mark(after) or COMPOSES.match(after)):
                return at
    return 0


_SOFT = re.compile(rf"\s|{CONTROLS}|[\ud800-\udfff]")
# What composes with a character before it and is no mark: conjoining vowels and finals,
# and the vowels of Kirat Rai.
COMPOSES = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb\U00016d63-\U00016d6a]")


def is_mark(character: str) -> bool:
    """Tell whether a character may compose with, or be ordered among, those before."""
    return category(character)[0] == "M" or combining(character) > 0
