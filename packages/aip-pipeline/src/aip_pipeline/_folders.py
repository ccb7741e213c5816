"""Folders that could not be listed: dead letters, until a run can list them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from glob import has_magic

from aip_pipeline._sources import unescaped
from aip_pipeline.stores import DeadLetter, Store
from aip_readers import ReadError, covers

LETTERS_AT_ONCE = 64
_MAGIC = re.compile(r"[*?\[]")


def folder_letter(name: str, error: ReadError) -> DeadLetter:
    """Return the letter of a folder: that it holds no bytes tells it from a file's."""
    return DeadLetter(name, 0, 0, None, None, error.reason, 1, None)


def listed_again(sources: Sequence[str], store: Store) -> Iterator[list[str]]:
    """Yield, some at a time, folders with a letter that *sources* can list by now.

    One that is gone has nothing left to list.
    """
    reached, last = _reached(sources), 0
    while letters := store.dead_after(last, limit=LETTERS_AT_ONCE):
        last = letters[-1].id or 0
        folders = (one.source for one in letters if one.text is None and one.end == 0)
        if listed := [one for one in folders if reached(one) and _can_be_listed(one)]:
            yield listed


def _reached(sources: Sequence[str]) -> Callable[[str], bool]:
    """Return a test of whether a walk from the sources may come upon a folder."""
    roots = [_root(source) for source in sources]
    covered = covers(roots)
    return lambda folder: covered(os.path.join(folder, "any.txt"))  # noqa: PTH118  # of text


def _root(source: str) -> str:
    """Return a path, or the folder that a glob starts from."""
    if not has_magic(source) or os.path.lexists(source):
        return source
    return os.path.dirname(_MAGIC.split(source, maxsplit=1)[0]) or os.curdir  # noqa: PTH120  # of text


def _can_be_listed(name: str) -> bool:
    """Tell whether a folder can be listed, or is gone, as the name of either form."""
    return all(map(_lists, {name, unescaped(name)}))


def _lists(path: str) -> bool:
    try:
        os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True
