"""Types that only annotations name, at home where importing typing costs nobody."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO
from typing import Any, Literal, Protocol, TypeAlias, TypedDict

from ._errors import ReadError

OnError: TypeAlias = Literal["raise", "skip", "replace"] | Callable[[ReadError], object]
"""What to do about damage: raise it, skip it, replace it, or tell a function.

A ``RecordError`` is skipped with its record, bad bytes of plain text with their run.
"replace" puts U+FFFD where bytes (or an escape in JSON) stand for no text, and raises
whatever else is wrong; a function may return "replace" for the same. Any other
``SourceError`` ends the source and is raised whatever is chosen here, because nobody
would learn of the loss.
"""

OnOversize: TypeAlias = Literal["error", "skip", "truncate", "split"]
"""What to do about a record that is too long; see ``Limits``."""


Wait: TypeAlias = Callable[[int], bool]
"""Wait for a pipe, given its file descriptor; False ends the source where it is.

It is called before each read of what is no regular file: a pipe, a terminal, standard
input.
"""


class Cursor(TypedDict):
    """A place in a source; survives JSON, in less than 300 bytes.

    ``offset`` and ``line`` say where to go on in what comes out of decompression (in
    PDF and Parquet the offset is 0, and the line the number of pages or rows before);
    ``packed`` and ``unpacked`` where the member (or frame) that holds it begins; the
    rest tells whether the file is still the same.
    """

    offset: int
    line: int
    packed: int
    unpacked: int
    size: int
    time_ns: int
    head_crc: int


class Decompressor(Protocol):
    """One member or frame: the shape of ``bz2.BZ2Decompressor``."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out before more goes in."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end of the member."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most *max_length* bytes."""


class RawFile(Protocol):
    """Bytes as they lie there, and what is known about them.

    ``direct`` reads with no step of ours between, and leaves errors of the operating
    system as they are; None where that cannot be done. ``file`` is what is read.
    """

    size: int | None
    direct: FileIO | None
    file: Any

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes; none at the end."""

    def seek(self, offset: int, /) -> bool:
        """Go to *offset*, or return False where that cannot be done."""

    def identity(self) -> tuple[int, int]:
        """Return size and time of last change (ns), (0, 0) where nobody knows."""

    def check(self, position: int, /) -> None:
        """Raise ``ChangedError`` unless the file, at its end, is still the same."""

    def close(self) -> None:
        """Close the file; safe to call again."""


Decode: TypeAlias = Callable[[bytes, str, bool], tuple[str, int]]
"""Decode bytes, with an error handler, whole or not: the text, and the bytes used."""

Loads: TypeAlias = Callable[[bytes], list[Any]]
"""Decode many lines of JSON."""
