"""Where to go on: a small JSON object that knows its file."""

from __future__ import annotations

from typing import TypedDict

from ._errors import ChangedError
from ._source import ByteSource


class Cursor(TypedDict):
    """A place in a source; survives JSON, in less than 300 bytes.

    ``offset`` and ``line`` say where to go on in what comes out of decompression;
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


def cursor_at(source: ByteSource, *, offset: int, line: int) -> Cursor:
    """Make the cursor for a place that *source* has just passed."""
    size, time_ns, head_crc = source.identity()
    packed, unpacked = source.member_before(offset)
    return Cursor(
        offset=offset,
        line=line,
        packed=packed,
        unpacked=unpacked,
        size=size,
        time_ns=time_ns,
        head_crc=head_crc,
    )


def verify(source: ByteSource, cursor: Cursor) -> None:
    """Raise ``ChangedError`` unless *source* is the file the cursor was made for."""
    then = cursor["size"], cursor["time_ns"], cursor["head_crc"]
    if source.identity() != then:
        reason = "the file changed since the cursor was made: read it from the start"
        raise ChangedError(source.name, cursor["offset"], None, reason)
