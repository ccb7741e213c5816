"""Blocks of bytes, and the exact bytes of a span."""

from __future__ import annotations

from io import BytesIO

from ._errors import TruncatedError
from ._files import Path
from ._limits import Limits, at_least
from ._reader import Asked, Reader
from ._source import BLOCK, ByteSource
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class FileChunkIterator(Reader[bytes]):
    """Yield the (decompressed) bytes of a file in blocks of at most *chunk_size*.

    Holds one block. Raises a ``SourceError`` after the last good byte.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     _ = file.write(b"0123456789"), file.flush()
    ...     list(FileChunkIterator(file.name, chunk_size=4))
    [b'0123', b'4567', b'89']
    """

    def __init__(
        self,
        path: Path,
        chunk_size: int = BLOCK,
        *,
        limits: Limits | None = None,
        start: int | None = None,
    ) -> None:
        super().__init__(path, self._blocks, Asked(limits=limits, start=start))
        self._chunk_size = at_least(1, "chunk_size", chunk_size)

    def _blocks(self, source: ByteSource) -> Iterator[bytes]:
        return source.blocks(self._chunk_size)

    def batches(self) -> Iterator[Sequence[bytes]]:
        """Yield the same blocks, each a batch of its own."""
        return zip(iter(self), strict=True)

    def __iter__(self) -> Iterator[bytes]:
        # Not by batches: making and undoing them is a hundredth of a block's cost.
        if self._items is None:
            self._items = self._running = self._run()
        return self._checked(self._items)


def reread(
    source: Path, start: int, end: int, *, limits: Limits | None = None
) -> bytes:
    """Return the exact raw bytes ``[start, end)`` of the decompressed source.

    Holds the span. Seeks in a plain file; decompresses up to *start* otherwise. Raises
    ``TruncatedError`` when the source has become shorter than *end*. Where the source
    was read with *limits* of its own, they are needed again.
    """
    if not 0 <= start <= end:
        raise ValueError(f"a span needs 0 <= start <= end, not [{start}, {end})")
    data = BytesIO()  # blocks may be short, and then take more than their bytes
    missing = end - start
    with FileChunkIterator(source, limits=limits, start=start) as blocks:
        while missing:
            block = next(blocks, b"")[:missing]
            if not block:
                reason = f"the source ends before byte {end}"
                raise TruncatedError(blocks.source, end - missing, None, reason)
            data.write(block)
            missing -= len(block)
    return data.getvalue()
