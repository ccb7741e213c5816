"""What can be ingested: paths, folders, globs, a stream, or records of your own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import TypeAlias

from aip_pipeline._errors import ConfigError
from aip_pipeline._escaping import as_utf8
from aip_pipeline._fingerprint import fingerprint
from aip_pipeline._settings import IngestSettings
from aip_readers import OnError, ReadError, Record, discover, open_records

STDIN = "-"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|[a-z][a-z0-9]+::")
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")
_ESCAPED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
# A byte offset means the same to a later run only where records are found in bytes.
_RESUMABLE_FORMATS = frozenset({"text", "jsonl"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSource:
    """Ingest records that no file holds: rows of a database, pages of a wiki.

    Args:
        uri: the source's name in the store; a run replaces what it held before.
        records: the records, or a function that begins them anew.
        fingerprint: names their version; where it is the stored one, nothing is read.
            None reads them every time, which costs no embedding.
    """

    uri: str
    records: Iterable[Record] | Callable[[], Iterable[Record]]
    fingerprint: str | None = None


Source: TypeAlias = str | RecordSource
Given: TypeAlias = Source | os.PathLike[str]


def as_sources(given: Given | Iterable[Given]) -> list[Source]:
    """Return one source or several as a list; a path object becomes its name."""
    if isinstance(given, str | os.PathLike | RecordSource):
        given = [given]
    return [os.fspath(one) if isinstance(one, os.PathLike) else one for one in given]


def check_sources(sources: Sequence[Source]) -> None:
    """Refuse sources that are not there, before anything is read or paid for.

    Raises:
        ConfigError: no source, one named twice, a path that does not exist, a glob
            that matches nothing.
    """
    if not sources:
        raise ConfigError("no source given: name a file, a folder or a glob")
    streams = [name_of(one) for one in sources if one not in paths_of([one])]
    for name in streams:
        if streams.count(name) > 1:
            raise ConfigError(f"the source {name} is named twice: name it once")
    for path in paths_of(sources):
        if has_magic(path) and not Path(path).exists():
            next(_files([path], "skip"), None)
        elif not Path(path).exists():
            raise ConfigError(
                f"no such file or folder at {path}: check the path; nothing was read"
            )


def name_of(source: Source) -> str:
    """Return what the store calls a source, in UTF-8; no secret of a URL is in it.

    >>> name_of("s3://key:secret@bucket/notes.jsonl?signature=1")
    's3://***@bucket/notes.jsonl'
    """
    if not isinstance(source, str):
        return as_utf8(source.uri)
    if _URL.match(source):
        source = _CREDENTIALS.sub("***@", source.partition("?")[0])
    return as_utf8(source)


def is_utf8(source: Source) -> bool:
    """Tell whether a source's own name is UTF-8; a file system may hold any bytes."""
    name = source if isinstance(source, str) else source.uri
    return as_utf8(name) == name


def unescaped(name: str) -> str:
    r"""Return the path that `name_of` escaped.

    >>> unescaped(r"caf\xe9.txt") == "caf\udce9.txt"
    True
    """
    raw = os.fsencode(name)
    return os.fsdecode(
        _ESCAPED_BYTE.sub(lambda byte: bytes.fromhex(byte[1].decode()), raw)
    )


def paths_of(sources: Iterable[Source]) -> list[str]:
    """Return the sources that name files: what can vanish, and be covered."""
    return [one for one in sources if isinstance(one, str) and not _is_stream(one)]


def each_source(
    sources: Iterable[Source],
    *,
    on_error: OnError,
    on_unknown: Callable[[str], object] | None = None,
) -> Iterator[str | RecordSource]:
    """Yield every single source: the files, in order and each once, then the streams.

    *on_unknown* is told of each file in a folder that is passed over for its suffix.

    Raises:
        ConfigError: a path that is not there, a glob that matches nothing.
    """
    given = list(sources)
    paths = paths_of(given)
    yield from _files(paths, on_error, on_unknown)
    for source in given:
        if not isinstance(source, str) or _is_stream(source):
            yield source


def version_of(source: Source, settings: IngestSettings) -> str | None:
    """Name the version of a source as it is read; None where it can't be told."""
    if isinstance(source, str):
        return fingerprint(source, reading=settings.reading())
    if source.fingerprint is None:
        return None
    return f"{source.fingerprint}:{settings.reading()}"


def open_source(
    source: Source,
    settings: IngestSettings,
    *,
    on_error: OnError,
    start: int,
    start_line: int,
    wait: Callable[[int], bool],
) -> AbstractContextManager[Iterable[Record]]:
    """Open a source's records, from *start* on where that has a meaning."""
    if isinstance(source, str):
        return open_records(
            source,
            format=settings.format,
            text_field=settings.text_field,
            id_field=settings.id_field,
            on_error=on_error,
            encoding=settings.encoding,
            start=start or None,  # 0 would be after an empty first line
            start_line=start_line,
            wait=wait,
        )
    records = source.records
    return nullcontext(records() if callable(records) else records)


def is_read_once(source: Source) -> bool:
    """Tell whether what was read of a source is not there for the next run."""
    if not isinstance(source, str) or _URL.match(source):
        return False
    return source == STDIN or not Path(source).is_file()


def is_resumable(source: Source, records: object) -> bool:
    """Tell whether a source can be read on from a byte offset."""
    if not isinstance(source, str) or _is_stream(source):
        return False
    return getattr(records, "format", None) in _RESUMABLE_FORMATS


def _is_stream(source: str) -> bool:
    return source == STDIN or _URL.match(source) is not None


def _files(
    paths: list[str],
    on_error: OnError,
    on_unknown: Callable[[str], object] | None = None,
) -> Iterator[str]:
    if not paths:
        return
    try:
        yield from discover(paths, on_error=on_error, on_unknown=on_unknown)
    except ReadError as error:
        raise ConfigError(f"{error}: check the path") from error
