"""Names for what was read: a source's version, a text's content."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from stat import S_ISREG

HASH_BYTES = 16  # 2**64 texts before a collision is likely


def text_hasher(spec: str) -> Callable[[bytes], bytes]:
    """Return a function that names a clean text, in UTF-8, in one embedder's space.

    The same text gets the same name wherever it stands, so it is paid for once.

    >>> text_hasher("local")(b"a") == text_hasher("openai:m")(b"a")
    False
    """
    seed = blake2b(spec.encode() + b"\0", digest_size=HASH_BYTES)

    def name(text: bytes) -> bytes:
        mine = seed.copy()
        mine.update(text)
        return mine.digest()

    return name


def entry_id(uri: str, *, ordinal: int, text_hash: bytes) -> str:
    """Name a chunk by its source, place and text, whatever version of it is stored.

    >>> entry_id("/a", ordinal=0, text_hash=b"x")
    'afac91c1574b4bd022d28cc3d1afd0fc'
    """
    named = blake2b(f"{uri}\0{ordinal}\0".encode(), digest_size=HASH_BYTES)
    named.update(text_hash)
    return named.hexdigest()


def fingerprint(path: str, *, reading: str) -> str | None:
    """Name the version of a file and the way it is read; None where it can't be told.

    Size, inode and both times change with every way of replacing a file, a copied-back
    modification time included; the content is not read. Only a regular file has one.
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # a string stays a string
    except OSError:
        return None
    if not S_ISREG(found.st_mode):
        return None
    times = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{found.st_size}:{found.st_ino}:{times}:{reading}"
