"""Open a file and read its decompressed bytes, counted, bounded, with typed errors."""

from __future__ import annotations

import os
from io import FileIO
from typing import TypeAlias

from ._errors import LimitError, OpenError, ReadError
from ._gzip import MAGIC, GzipStream
from ._limits import Limits

Path: TypeAlias = str | os.PathLike[str]

BLOCK = 64 * 1024
# Enough to know a compression or a byte order mark, whatever size is asked for after.
HEAD = 64


def absolute(path: Path) -> str:
    """Return the absolute form of *path*, which is the name of its source."""
    return os.path.abspath(os.fspath(path))  # noqa: PTH100  # 20x faster than Path.absolute


def open_error(source: str, error: OSError) -> OpenError:
    """Say in one sentence why the operating system refused *source*."""
    reason = (error.strerror or str(error)).lower()
    return OpenError(source, None, None, reason)


class ByteSource:
    """The decompressed bytes of one file, from an offset on.

    Holds one block of the file, and for compressed files one block more.
    """

    def __init__(self, path: Path, *, limits: Limits, start: int = 0) -> None:
        self.name = absolute(path)
        self.position = 0
        self.bytes_total: int | None = None
        self.compression: str | None = None
        self._ahead = b""
        self._file = self._open()
        self._gzip: GzipStream | None = None
        self.limits = limits
        self._read_raw = 0
        try:
            self._look()
            self._seek(start)
        except BaseException:
            self.close()
            raise

    def _open(self) -> FileIO:
        try:
            file = FileIO(self.name)
            size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise open_error(self.name, error) from error
        # Pipes and /proc files say 0 whatever they hold.
        self.bytes_total = size or None
        return file

    def _look(self) -> None:
        """Find the compression by the first bytes, whatever the suffix says."""
        while len(self._ahead) < len(MAGIC):
            block = self._raw(HEAD)
            if not block:
                break
            self._ahead += block
        if self._ahead.startswith(MAGIC):
            self.compression = "gzip"
            ahead, self._ahead = self._ahead, b""
            self._gzip = GzipStream(self.name, self._raw, ahead, limits=self.limits)

    @property
    def head(self) -> bytes:
        """The first bytes of a file that is not compressed, before any read."""
        return self._ahead

    @property
    def bytes_read(self) -> int:
        """Bytes read from the file so far, as they lie there."""
        return self._read_raw

    def _raw(self, size: int) -> bytes:
        try:
            block = self._file.read(size) or b""
        except OSError as error:
            raise open_error(self.name, error) from error
        self._read_raw += len(block)
        return block

    def _seek(self, start: int) -> None:
        if start <= 0:
            return
        if self._gzip is None and self._file.seekable():
            self._ahead = b""
            self._file.seek(start)
            self.position = self._read_raw = start
            return
        while self.position < start:
            if not self.read(min(BLOCK, start - self.position)):
                break

    def read(self, size: int = BLOCK) -> bytes:
        """Return up to *size* bytes; none at the end."""
        if self._gzip is not None:
            block = self._gzip.read(size)
        elif self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            if len(block) < size:
                block += self._raw(size - len(block))
        else:
            block = self._raw(size)
        self.position += len(block)
        ceiling = self.limits.max_bytes
        if ceiling is not None and self.position > ceiling:
            raise self._too_long(ceiling)
        return block

    def _too_long(self, ceiling: int) -> ReadError:
        reason = f"the source holds more than max_bytes={ceiling}"
        return LimitError(self.name, ceiling, None, reason)

    def close(self) -> None:
        """Close the file; safe to call again."""
        self._file.close()
