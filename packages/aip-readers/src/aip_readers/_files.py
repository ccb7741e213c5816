"""Where raw bytes come from: a file, a pipe, standard input, or a URL of fsspec."""

# Paths are text here, as the operating system gives them; Path costs ten times that.
# ruff: noqa: PTH100, PTH116

from __future__ import annotations

import os
import stat
import sys
from io import FileIO

from ._errors import ChangedError, MissingExtraError, OpenError
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from ._types import RawFile, Wait

Path: TypeAlias = str | os.PathLike[str]

STDIN = "-"
# What signs the URLs of S3, Google Cloud Storage and Azure.
_SIGNS = (
    "x-(?:amz|goog)-(?:signature|credential|security-token)"
    "|awsaccesskeyid|googleaccessid|signature|sig|access_token"
)


def is_url(name: str) -> bool:
    """Tell whether a name is one for fsspec: scheme://, or a chain with ::.

    >>> [is_url(name) for name in ("s3://b/k", "zip::s3://b/k.zip", "C:/a", "a:b")]
    [True, True, False, False]
    """
    # Without re, which takes half a MiB and which plain files do not need.
    scheme, _, rest = name.partition(":")
    if len(scheme) < 2 or not scheme.isascii() or not scheme[0].isalpha():  # noqa: PLR2004  # C: is a drive
        return False
    if rest.startswith("//"):
        return scheme.translate({43: None, 45: None, 46: None}).isalnum()
    return rest.startswith(":") and scheme.isalnum() and scheme == scheme.lower()


def _without_secrets(text: str) -> str:
    import re  # noqa: PLC0415  # URLs are rare, and fsspec imports it anyway

    # Up to the last @ before the path: a password may have one, as it should not.
    text = re.sub(r"(?<=://)[^/?#\s]*@", "***@", text)
    # Of a signed URL what signs it, but nothing that may tell one file from another.
    return re.sub(rf"(?i)([?&](?:{_SIGNS})=)[^&#\s]*", r"\1***", text)


def absolute(path: Path) -> str:
    """Return the name of a source: the absolute path, the URL without secrets, or -."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"a path is text, not {name!r}: use os.fsdecode")
    if name == STDIN:
        return name
    if is_url(name):
        return _without_secrets(name)
    return os.path.abspath(name)


def open_error(
    source: str, error: OSError | ValueError, offset: int | None = None
) -> OpenError:
    """Say in one sentence why the operating system refused *source*."""
    told = error.strerror if isinstance(error, OSError) else None
    reason = (told or str(error) or type(error).__name__).lower()
    return OpenError(source, offset, None, reason)


def open_raw(path: Path, *, wait: Wait | None = None) -> RawFile:
    """Open *path*, whatever it is; raise ``OpenError``."""
    name = os.fspath(path)
    return _Remote(name) if is_url(name) else _Local(name, wait=wait)


def _open_at_once(path: str, flags: int) -> int:
    """Open a named pipe that nobody writes to yet; elsewhere it would seem empty."""
    return os.open(path, flags | (os.O_NONBLOCK if sys.platform == "linux" else 0))


class _Local:
    """A file, a pipe or standard input of this machine."""

    def __init__(self, path: str, *, wait: Wait | None) -> None:
        self._name = absolute(path)
        try:
            if path == STDIN:
                self.file = FileIO(sys.stdin.fileno(), closefd=False)
            else:
                opener = None if wait is None else _open_at_once
                self.file = FileIO(self._name, opener=opener)
            self._stat = os.fstat(self.file.fileno())
        except (OSError, ValueError) as error:
            # ValueError: a name with a NUL in it, or a closed standard input.
            raise open_error(self._name, error) from error
        # Pipes and /proc files say 0 whatever they hold.
        self._regular = stat.S_ISREG(self._stat.st_mode) and self._stat.st_size > 0
        self._wait = None if self._regular else wait
        # Whoever started us may have read some of standard input, and of a file.
        self._begin = self.file.tell() if self._regular and path == STDIN else 0
        self.size = self._stat.st_size - self._begin if self._regular else None
        self.direct = self.file if self._regular and not self._begin else None

    def read(self, size: int, /) -> bytes:
        wait = self._wait
        try:
            while wait is None or wait(self.file.fileno()):
                if (block := self.file.read(size)) is not None:
                    return block
                # Someone made this pipe non-blocking: nothing there is no end.
                if wait is None:
                    from select import select  # noqa: PLC0415  # rare

                    select([self.file], [], [])
        except OSError as error:
            raise open_error(self._name, error) from error
        return b""

    def seek(self, offset: int, /) -> bool:
        if not self._regular:
            return False
        self.file.seek(self._begin + offset)
        return True

    def identity(self) -> tuple[int, int]:
        if not self._regular:
            return 0, 0
        return self._stat.st_size, self._stat.st_mtime_ns

    def check(self, position: int, /) -> None:
        if not self._regular:
            return
        now, then = os.fstat(self.file.fileno()), self._stat
        if now.st_size != then.st_size:
            how = "grew" if now.st_size > then.st_size else "shrank"
            change = f"{how} from {then.st_size} to {now.st_size} bytes"
        elif now.st_mtime_ns != then.st_mtime_ns:
            change = "was written to"
        elif self._is_replaced():
            change = "was replaced by another"
        else:
            return
        reason = f"the file {change} while it was read"
        raise ChangedError(self._name, position, None, reason)

    def _is_replaced(self) -> bool:
        if self._name == STDIN:
            return False
        try:
            now = os.stat(self._name)
        except OSError:
            return True
        return not os.path.samestat(now, self._stat)

    def close(self) -> None:
        self.file.close()


class _Remote:
    """A file behind a URL; needs the extra ``remote``."""

    def __init__(self, url: str) -> None:
        self._name, self._url = absolute(url), url
        try:
            import fsspec  # noqa: PLC0415  # an extra is imported where it is used
        except ImportError as error:
            raise MissingExtraError(self._name, "remote", "fsspec") from error
        self.file: Any = self._tell(lambda: fsspec.open(url, "rb").open())
        self.size: int | None = getattr(self.file, "size", None)
        self.direct: FileIO | None = None

    def _tell(self, work: Any) -> Any:
        """Turn whatever a file system raises into one ``OpenError``."""
        try:
            return work()
        except OSError as error:
            reason = self._told(error.strerror or str(error) or type(error).__name__)
            raise OpenError(self._name, None, None, reason.lower()) from error
        except Exception as error:  # every backend of fsspec has errors of its own
            reason = f"{type(error).__name__}: {self._told(str(error))}"
            raise OpenError(self._name, None, None, reason) from error

    def _told(self, text: str) -> str:
        """Return what a file system told, without secrets: it may name the URL."""
        for part in self._url.split("://")[1:]:
            secret, at, _ = part.partition("/")[0].rpartition("@")
            text = text.replace(secret + at, "***@") if at else text
        return _without_secrets(text)

    def read(self, size: int, /) -> bytes:
        return bytes(self._tell(lambda: self.file.read(size)))

    def seek(self, offset: int, /) -> bool:
        if not self.file.seekable():
            return False
        self._tell(lambda: self.file.seek(offset))
        return True

    def identity(self) -> tuple[int, int]:
        return self.size or 0, 0

    def check(self, position: int, /) -> None:
        if self.size is not None and position != self.size:
            reason = f"the file ended after {position} of {self.size} bytes"
            raise ChangedError(self._name, position, None, reason)

    def close(self) -> None:
        self.file.close()
