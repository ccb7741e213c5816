"""What all readers share: open late, close always, iterate at the speed of C."""

from __future__ import annotations

from itertools import chain

from ._encodings import canonical
from ._errors import OpenError
from ._files import Path, absolute
from ._limits import Limits, at_least
from ._records import Record, source_of
from ._source import ByteSource
from ._typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self

    from ._types import Cursor, OnError, Wait

T = TypeVar("T")
Y = TypeVar("Y")
_ON_ERROR = "raise", "skip", "replace"
_CURSOR = "offset", "line", "packed", "unpacked", "size", "time_ns", "head_crc"


def _is_cursor(value: object) -> bool:
    """Tell whether *value* is what ``cursor()`` returned, be it by way of JSON."""
    return isinstance(value, dict) and all(
        isinstance(value.get(name), int) and value[name] >= 0 for name in _CURSOR
    )


class Asked(NamedTuple):
    """How a source is to be read, as whoever opens it asked."""

    limits: Limits | None = None
    on_error: OnError = "raise"
    encoding: str = "utf-8"
    start: int | None = None
    start_line: int = 1
    cursor: Cursor | None = None
    text_field: str = "text"
    id_field: str | None = None
    wait: Wait | None = None

    def from_the_beginning(self) -> Asked:
        """Return the same for a format in which no place but the beginning is one."""
        return self._replace(start=None)


class Reader(Generic[T]):
    """An iterator and context manager over one source.

    The file is opened on first use, and closed on exhaustion, on exit and on error.
    Items come in batches, one block's worth at a time; plain iteration chains them. A
    subclass that reads other parts than batches makes both of them itself.
    ``format`` names what it reads, as ``open_records`` calls it.
    """

    format = ""

    def __init__(
        self,
        path: Path,
        parts: Callable[[ByteSource], Iterable[Any]],
        asked: Asked,
    ) -> None:
        start, cursor = asked.start, asked.cursor
        if start is not None:
            at_least(0, "start", start)
        at_least(1, "start_line", asked.start_line)
        if not isinstance(asked.limits, Limits | None):
            raise TypeError(f"limits must be Limits(...), not {asked.limits!r}")
        if start and cursor:
            raise ValueError("start and cursor exclude each other")
        if not callable(asked.on_error) and asked.on_error not in _ON_ERROR:
            said = f"{', '.join(_ON_ERROR)} or a function, not {asked.on_error!r}"
            raise ValueError(f"on_error must be {said}")
        if cursor is not None and not _is_cursor(cursor):
            raise ValueError("this is no cursor: take one from a reader's cursor()")
        self.source = absolute(path)
        self.path = path
        self.limits = asked.limits or Limits()
        self.start = cursor["offset"] if cursor else start
        self._cursor = cursor
        self._asked = asked
        self._on_error = asked.on_error
        self._encoding = canonical(asked.encoding)
        self._line = cursor["line"] if cursor else asked.start_line
        self._make = parts
        self._bytes: ByteSource | None = None
        self._running: Generator[Any, None, None] | None = None
        self._items: Iterator[T] | None = None
        self._is_closed = False

    def _opened(self) -> ByteSource:
        return ByteSource(
            self.path,
            limits=self.limits,
            start=self.start,
            cursor=self._cursor,
            wait=self._asked.wait,
        )

    def _run(self) -> Generator[Any, None, None]:
        source = self._bytes = self._opened()
        try:
            yield from self._make(source)
        finally:
            source.close()

    def batches(self) -> Iterator[Sequence[T]]:
        """Yield the same items in batches, about one block's worth each."""
        if self._running is None:
            self._running = self._run()
        return self._checked(self._running)

    def _checked(self, items: Iterator[Y]) -> Iterator[Y]:
        """Refuse what is closed, which would look like an empty source."""
        if self._is_closed:
            raise ValueError(f"the reader of {self.source} is closed: make a new one")
        return items

    def __iter__(self) -> Iterator[T]:
        # Not self: chain asks for the next item without a Python call.
        if self._items is None:
            self._items = chain.from_iterable(self.batches())
        return self._checked(self._items)

    def __next__(self) -> T:
        return next(iter(self))

    def close(self) -> None:
        """Close the source; what is left of it is not read."""
        if self._running is None:
            self._running = self._run()
        self._running.close()
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file so far, compressed where it is compressed."""
        return self._bytes.bytes_read if self._bytes else 0

    @property
    def bytes_total(self) -> int | None:
        """Size of the file, compressed where it is; None where nobody knows (yet)."""
        return self._bytes.bytes_total if self._bytes else None

    def cursor(self, after: Record) -> Cursor:
        """Return where to go on after a record that this reader yielded.

        For PDF it counts pages, for Parquet rows; of HTML there is nothing to go on to.
        Costs a plain file a seek, a compressed one the way from the beginning of its
        last member or frame. A file that changed in between is refused.
        """
        from ._cursor import cursor_at  # noqa: PLC0415  # most readers make none

        if source_of(after) != self.source:
            raise ValueError(f"this record is of {after.source}, not of {self.source}")
        if self._bytes is None:
            raise OpenError(self.source, None, None, "nothing was read yet")
        offset, line = self._place_after(after)
        return cursor_at(self._bytes, offset=offset, line=line)

    def _place_after(self, record: Record) -> tuple[int, int]:
        """Return the byte and the line, or what stands for it, to go on from."""
        ends = record.text.count("\n") if record.key is None else 0
        return record.end, record.line + ends
