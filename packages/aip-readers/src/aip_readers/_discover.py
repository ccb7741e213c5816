"""Find the files that patterns name: lazily, in order, each once."""

# Paths are text here, as the operating system gives them; Path costs ten times as much.
# ruff: noqa: PTH110, PTH112, PTH114, PTH118, PTH206

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate

from ._errors import NoMatchError, OpenError
from ._source import Path, absolute, open_error
from ._suffixes import is_known

_MAGIC = re.compile(r"[*?\[]")
_SKIPPED = frozenset({"__pycache__", "node_modules"})


def discover(patterns: Path | Iterable[Path]) -> Iterator[str]:
    """Yield the absolute paths of the files that *patterns* name.

    A pattern is a file (taken whatever its suffix), a folder (recursive, by known
    suffixes) or a glob (``**`` crosses folders). Hidden names, ``__pycache__`` and
    ``node_modules`` are passed over, and links to folders are not followed. Patterns
    come in the order given, the files of one pattern sorted by name, folder by folder;
    what an earlier pattern named does not come again. Holds the patterns and, on the
    way down, the names in each open folder: never the list of files.

    Raises ``OpenError`` for what is missing or may not be listed, ``NoMatchError`` for
    a glob that matches nothing.
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = [patterns]
    earlier: list[Callable[[str], bool]] = []
    for pattern in patterns:
        paths, covers = _expand(absolute(pattern))
        for path in paths:
            if not any(covered(path) for covered in earlier):
                yield path
        earlier.append(covers)


def _expand(pattern: str) -> tuple[Iterator[str], Callable[[str], bool]]:
    """Return the paths of one pattern, and the test whether it names a path."""
    if os.path.isdir(pattern):
        return _walk(pattern), lambda path: _in_folder(pattern, path)
    if os.path.lexists(pattern):
        return _file(pattern), pattern.__eq__
    if not _MAGIC.search(pattern):
        raise OpenError(pattern, None, None, "no such file or folder")
    parts = pattern.split(os.sep)
    first = next(at for at, part in enumerate(parts) if _MAGIC.search(part))
    root = os.sep.join(parts[:first]) or os.sep
    tests = [None if part == "**" else _name_test(part) for part in parts[first:]]
    return _glob(pattern, root, tests), lambda path: _in_glob(root, tests, path)


def _file(path: str) -> Iterator[str]:
    if not os.path.exists(path):
        raise OpenError(path, None, None, "the link points to nothing")
    yield path


_Test = Callable[[str], object]
_State = list[_Test | None]


def _name_test(part: str) -> _Test:
    match = re.compile(translate(part)).match
    if part.startswith("."):
        return match
    return lambda name: not name.startswith(".") and match(name)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise open_error(folder, error) from error


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _walk(folder: str) -> Iterator[str]:
    for entry in _entries(folder):
        if _passed_over(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif is_known(entry.name) and entry.is_file():
            yield entry.path


def _in_folder(folder: str, path: str) -> bool:
    """Tell whether walking *folder* comes upon *path*."""
    prefix = folder.rstrip(os.sep) + os.sep
    if not path.startswith(prefix) or not is_known(path):
        return False
    parts = path[len(prefix) :].split(os.sep)
    return not any(map(_passed_over, parts)) and not _through_link(prefix, parts)


def _through_link(prefix: str, parts: list[str]) -> bool:
    """Tell whether a folder on the way is a link, which is not followed."""
    return any(
        os.path.islink(prefix + os.sep.join(parts[:at])) for at in range(1, len(parts))
    )


def _glob(pattern: str, root: str, tests: _State) -> Iterator[str]:
    found = False
    for path in _matches(root, [tests]):
        found = True
        yield path
    if not found:
        raise NoMatchError(pattern, None, None, "the pattern matches no file")


def _matches(folder: str, states: list[_State]) -> Iterator[str]:
    if not os.path.isdir(folder):
        return
    for entry in _entries(folder):
        after = [rest for state in states for rest in _after(entry.name, state)]
        if entry.is_dir(follow_symlinks=False):
            below = [rest for rest in after if rest]
            if below:
                yield from _matches(entry.path, below)
        elif any(map(_is_done, after)) and entry.is_file():
            yield entry.path


def _is_done(state: _State) -> bool:
    return all(test is None for test in state)


def _after(name: str, tests: _State) -> Iterator[_State]:
    """Yield what is left of a pattern to match after *name*."""
    if not tests:
        return
    first, rest = tests[0], tests[1:]
    if first is None:
        if not _passed_over(name):
            yield tests
        yield from _after(name, rest)
    elif first(name):
        yield rest


def _in_glob(root: str, tests: _State, path: str) -> bool:
    prefix = root.rstrip(os.sep) + os.sep
    if not path.startswith(prefix):
        return False
    parts = path[len(prefix) :].split(os.sep)
    if _through_link(prefix, parts):
        return False
    states = [tests]
    for name in parts:
        states = [rest for state in states for rest in _after(name, state)]
    return any(map(_is_done, states))
