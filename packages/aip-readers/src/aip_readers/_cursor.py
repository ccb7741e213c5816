"""Where to go on: a small JSON object that knows its file."""

from __future__ import annotations

from ._errors import ChangedError
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._source import ByteSource
    from ._types import Cursor


def cursor_at(source: ByteSource, *, offset: int, line: int) -> Cursor:
    """Make the cursor for a place that *source* has just passed."""
    size, time_ns, head_crc = source.identity()
    packed, unpacked = source.member_before(offset)
    return {
        "offset": offset,
        "line": line,
        "packed": packed,
        "unpacked": unpacked,
        "size": size,
        "time_ns": time_ns,
        "head_crc": head_crc,
    }


def verify(source: ByteSource, cursor: Cursor) -> None:
    """Raise ``ChangedError`` unless *source* is the file the cursor was made for."""
    then = cursor["size"], cursor["time_ns"], cursor["head_crc"]
    if source.identity() != then:
        reason = "the file changed since the cursor was made: read it from the start"
        raise ChangedError(source.name, cursor["offset"], None, reason)
