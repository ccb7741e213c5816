"""Find the files that patterns name: lazily, in order, each once."""

# Paths are text here, as the operating system gives them; Path costs ten times as much.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH118, PTH206

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import translate

from ._errors import NoMatchError, OpenError
from ._files import Path, absolute, open_error
from ._suffixes import is_known
from ._types import OnError

_MAGIC = re.compile(r"[*?\[]")
_OnUnknown = Callable[[str], object]
_SKIPPED = frozenset({"__pycache__", "node_modules"})


def discover(
    patterns: Path | Iterable[Path],
    *,
    on_error: OnError = "raise",
    on_unknown: _OnUnknown | None = None,
) -> Iterator[str]:
    """Yield the absolute paths of the files that *patterns* name.

    A pattern is a file (taken whatever its suffix), a folder (recursive, by known
    suffixes) or a glob (``**`` crosses folders). Hidden names, ``__pycache__`` and
    ``node_modules`` are passed over, and links to folders are not followed. Patterns
    come in the order given, the files of one pattern sorted by name, folder by folder;
    what an earlier pattern named does not come again. Holds the patterns and, on the
    way down, the names in each open folder: never the list of files.

    Raises ``OpenError`` for what is missing, ``NoMatchError`` for a glob that matches
    nothing. A folder below that may not be listed is an ``OpenError`` too; it is what
    *on_error* settles: "skip" passes it over, a function is told. *on_unknown* is told
    of each file in a folder that is passed over for its suffix, once.
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = [patterns]
    earlier: list[Callable[[str], bool]] = []
    walked: list[str] = []

    def tell(path: str) -> None:
        again = any(_is_walked(folder, path) for folder in walked)
        if on_unknown is not None and not again and not any(c(path) for c in earlier):
            on_unknown(path)

    for pattern in patterns:
        name = absolute(pattern)
        for path in _paths(name, on_error, tell):
            if not any(covered(path) for covered in earlier):
                yield path
        earlier.append(_cover(name))
        if os.path.isdir(name):
            walked.append(name)


def covers(patterns: Path | Iterable[Path]) -> Callable[[str], bool]:
    """Return a test of whether ``discover(patterns)`` would come upon a path.

    The path, an absolute one, need not exist any more: so a program can tell what has
    vanished from what was never asked for.

    >>> covers("/notes")("/notes/gone.txt"), covers("/notes")("/other/gone.txt")
    (True, False)
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = [patterns]
    tests = [_cover(absolute(pattern)) for pattern in patterns]
    return lambda path: any(covered(path) for covered in tests)


def _cover(pattern: str) -> Callable[[str], bool]:
    """Return the test whether one pattern names a path."""
    if not os.path.lexists(pattern) and _MAGIC.search(pattern):
        root, tests = _parsed(pattern)
        return lambda path: _in_glob(root, tests, path)
    if os.path.isfile(pattern):
        return pattern.__eq__
    return lambda path: path == pattern or _in_folder(pattern, path)


def _paths(pattern: str, on_error: OnError, on_unknown: _OnUnknown) -> Iterator[str]:
    """Return the paths of one pattern."""
    if os.path.isdir(pattern):
        return _walk(_entries(pattern), on_error, on_unknown)
    if os.path.lexists(pattern):
        return _file(pattern)
    if not _MAGIC.search(pattern):
        raise OpenError(pattern, None, None, "no such file or folder")
    return _glob(pattern, on_error)


def _parsed(pattern: str) -> tuple[str, _State]:
    """Return the folder that a glob starts from, and a test for each part below."""
    parts = pattern.split(os.sep)
    first = next(at for at, part in enumerate(parts) if _MAGIC.search(part))
    root = os.sep.join(parts[:first]) or os.sep
    return root, [None if part == "**" else _name_test(part) for part in parts[first:]]


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


def _listed(folder: str, on_error: OnError) -> list[os.DirEntry[str]]:
    try:
        return _entries(folder)
    except OpenError as error:
        if callable(on_error):
            on_error(error)
        elif on_error != "skip":
            raise
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        # A link to itself.
        return False


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _walk(
    entries: list[os.DirEntry[str]], on_error: OnError, on_unknown: _OnUnknown
) -> Iterator[str]:
    # Without recursion: folders may nest more deeply than calls.
    on_the_way = [iter(entries)]
    while on_the_way:
        entry = next(on_the_way[-1], None)
        if entry is None:
            on_the_way.pop()
        elif _passed_over(entry.name):
            continue
        elif entry.is_dir(follow_symlinks=False):
            on_the_way.append(iter(_listed(entry.path, on_error)))
        elif not _is_file(entry):
            continue
        elif is_known(entry.name):
            yield entry.path
        else:
            on_unknown(entry.path)


def _in_folder(folder: str, path: str) -> bool:
    """Tell whether walking *folder* yields *path*."""
    return is_known(path) and _is_walked(folder, path)


def _is_walked(folder: str, path: str) -> bool:
    """Tell whether walking *folder* comes upon *path*."""
    prefix = folder.rstrip(os.sep) + os.sep
    if not path.startswith(prefix):
        return False
    parts = path[len(prefix) :].split(os.sep)
    return not any(map(_passed_over, parts)) and not _through_link(prefix, parts)


def _through_link(prefix: str, parts: list[str]) -> bool:
    """Tell whether a folder on the way is a link, which is not followed."""
    return any(
        os.path.islink(prefix + os.sep.join(parts[:at])) for at in range(1, len(parts))
    )


def _glob(pattern: str, on_error: OnError) -> Iterator[str]:
    root, tests = _parsed(pattern)
    found = False
    for path in _matches(root, [tests], on_error):
        found = True
        yield path
    if not found:
        raise NoMatchError(pattern, None, None, "the pattern matches no file")


def _matches(folder: str, states: list[_State], on_error: OnError) -> Iterator[str]:
    if not os.path.isdir(folder):
        return
    on_the_way = [(iter(_listed(folder, on_error)), states)]
    while on_the_way:
        entries, states = on_the_way[-1]
        entry = next(entries, None)
        if entry is None:
            on_the_way.pop()
            continue
        after = [rest for state in states for rest in _after(entry.name, state)]
        if entry.is_dir(follow_symlinks=False):
            below = [rest for rest in after if rest]
            if below:
                on_the_way.append((iter(_listed(entry.path, on_error)), below))
        elif any(map(_is_done, after)) and _is_file(entry):
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
