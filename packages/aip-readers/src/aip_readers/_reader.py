"""What all readers share: open late, close always, iterate at the speed of C."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from ._limits import Limits
from ._source import ByteSource, Path, absolute

T = TypeVar("T")


class Reader(Generic[T]):
    """An iterator and context manager over one source.

    The file is opened on first use, and closed on exhaustion, on exit and on error.
    """

    def __init__(
        self,
        path: Path,
        items: Callable[[ByteSource], Iterator[T]],
        *,
        limits: Limits | None = None,
        start: int = 0,
    ) -> None:
        if start < 0:
            raise ValueError(f"start must be at least 0, not {start!r}")
        self.source = absolute(path)
        self.limits = limits or Limits()
        self._start = start
        self._make = items
        self._bytes: ByteSource | None = None
        self._items: Generator[T, None, None] | None = None
        self._last_read = 0
        self._last_total: int | None = None

    def _run(self) -> Generator[T, None, None]:
        try:
            self._bytes = ByteSource(self.source, limits=self.limits, start=self._start)
            yield from self._make(self._bytes)
        finally:
            self._shut()

    def _shut(self) -> None:
        if self._bytes is not None:
            self._last_read = self._bytes.bytes_read
            self._last_total = self._bytes.bytes_total
            self._bytes.close()
            self._bytes = None

    def __iter__(self) -> Iterator[T]:
        # The generator itself, not self: no Python call per item.
        if self._items is None:
            self._items = self._run()
        return self._items

    def __next__(self) -> T:
        return next(iter(self))

    def close(self) -> None:
        """Close the source; what is left of it is not read."""
        if self._items is None:
            self._items = self._run()
        self._items.close()
        self._shut()

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
        return self._bytes.bytes_read if self._bytes else self._last_read

    @property
    def bytes_total(self) -> int | None:
        """Size of the file, compressed where it is; None where nobody knows."""
        return self._bytes.bytes_total if self._bytes else self._last_total
