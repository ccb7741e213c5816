"""Every error of this package.

::

    ReadError                   source, offset, line, reason
    ├── RecordError             this one record is bad; the rest goes on
    │   ├── OversizeError       it holds more than Limits.max_record_bytes
    │   ├── ParseError          it is not what its format says (bad JSON, ...)
    │   ├── FieldError          the field that was asked for is not there
    │   └── RecordEncodingError its bytes are not text
    └── SourceError             this source cannot be read (further)
        ├── OpenError           missing, a directory, no permission, I/O error
        ├── EncodingError       its bytes are not text from here on
        ├── TruncatedError      compressed data ends too early
        ├── CorruptError        compressed data is damaged
        ├── LimitError          it decompresses to more than Limits allow
        ├── ChangedError        the file is not, or no longer, what it was
        ├── MissingExtraError   an optional package is needed, and not installed
        └── NoMatchError        a pattern matches nothing

Offsets are absolute, in bytes of the decompressed source; lines count from 1.
"""

from __future__ import annotations

from itertools import islice

from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._types import OnError, OnOversize


class ReadError(Exception):
    """Say which source could not be read, where, and why.

    ``offset`` (bytes) and ``line`` (from 1) are None where the trouble has no place,
    as for a missing file.
    """

    def __init__(
        self, source: str, offset: int | None, line: int | None, reason: str
    ) -> None:
        super().__init__(source, offset, line, reason)
        self.source = source
        self.offset = offset
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at byte {self.offset}"
        if self.line is not None:
            where += f" (line {self.line})" if where else f" at line {self.line}"
        return f"cannot read {self.source}{where}: {self.reason}"


class RecordError(ReadError):
    """One record is bad; the records after it can still be read."""


class OversizeError(RecordError):
    """A record holds more than ``Limits.max_record_bytes``."""


class ParseError(RecordError):
    """A record is not what its format says it is."""


class FieldError(RecordError):
    """A record has no such field, or the field holds no text."""


class RecordEncodingError(RecordError):
    """A record's bytes are not text in the source's encoding."""


class SourceError(ReadError):
    """A source cannot be read, or not beyond this offset."""


class OpenError(SourceError):
    """The operating system refuses to open or to read the source."""


class EncodingError(SourceError):
    """The bytes at the offset are not text in the source's encoding."""


class TruncatedError(SourceError):
    """Compressed data ends before its end is marked."""


class CorruptError(SourceError):
    """Compressed data is damaged; what came before the offset is good."""


class LimitError(SourceError):
    """The source decompresses to more than ``Limits`` allow."""


class ChangedError(SourceError):
    """The file changed while it was read, or since a cursor was made."""


class MissingExtraError(SourceError):
    """Reading the source needs a package of an extra that is not installed."""

    def __init__(self, source: str, extra: str, package: str) -> None:
        reason = (
            f"it needs the package {package}: "
            f"install it with pip install 'aip-readers[{extra}]'"
        )
        super().__init__(source, None, None, reason)
        self.extra = extra
        self.package = package

    def __reduce__(self) -> tuple[type[ReadError], tuple[str, str, str]]:
        return type(self), (self.source, self.extra, self.package)


class NoMatchError(SourceError):
    """A pattern matches no file."""


def listed(names: Iterable[str]) -> str:
    """Name the first of what is there instead, in few words however long they are."""
    return ", ".join(repr(name[:40]) for name in islice(names, 8)) or "nothing"


def no_column(names: Sequence[str], wanted: Iterable[str]) -> str:
    """Say which of the columns that are wanted a table lacks; nothing if none."""
    absent = next((each for each in wanted if each not in names), None)
    if absent is None:
        return ""
    return f"the table has no column {absent!r}; it has {listed(names)}"


_ENCODING = EncodingError, RecordEncodingError


def settle(error: ReadError, on_error: OnError) -> bool:
    """Raise *error*, or let it pass, as *on_error* says.

    Return whether the bad bytes are wanted as U+FFFD.
    """
    if callable(on_error):
        # Whoever keeps the error keeps no block of the file and no frame with it.
        error.__cause__ = error.__context__ = None
        return on_error(error.with_traceback(None)) == "replace"
    if on_error == "replace" and isinstance(error, _ENCODING):
        return True
    if on_error != "skip" or not isinstance(error, RecordError | EncodingError):
        raise error
    return False


def settle_oversize(
    error: OversizeError, policy: OnOversize, on_error: OnError
) -> None:
    """Settle a record that is too long, unless it is passed over in silence."""
    if policy != "skip":
        settle(error, on_error)
