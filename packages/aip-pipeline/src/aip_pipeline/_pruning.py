"""What has vanished from the sources, and when it may be removed from the store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from glob import has_magic
from typing import NamedTuple

from aip_pipeline._errors import ConfigError, PruneRefused
from aip_pipeline._settings import IngestSettings
from aip_pipeline._sources import Source, check_sources, paths_of, unescaped
from aip_pipeline.stores import Store, Write, open_store
from aip_readers import covers

MAX_PRUNED_SHARE = 0.2  # more than this is likelier a disk that is not mounted
REMOVED_AT_ONCE = 256
MAX_NAMED = 3


class Vanished(NamedTuple):
    """Count the stored sources that this run covers and that are no more.

    `answering` counts those of them that have passages. `named` holds the first of
    them, at most `MAX_NAMED`. `unseen` is the first path that could not be looked at,
    and why: what may be there never counts as vanished.
    """

    vanished: int
    stored: int
    named: tuple[str, ...] = ()
    unseen: str | None = None
    answering: int = 0

    @property
    def state(self) -> str:
        """Say whether searches still find them.

        >>> Vanished(4, 9, answering=4).state, Vanished(4, 9, answering=1).state
        ('still answering', 'still stored, 1 with passages that answer')
        """
        if self.answering == self.vanished:
            return "still answering"
        some = f"{self.answering:,} with passages that answer"
        return f"still stored, {some if self.answering else 'without any passage'}"

    def told(self) -> str:
        """Name the first of them.

        >>> Vanished(4, 9, ("/a", "/b", "/c")).told()
        '/a, /b, /c and 1 more'
        """
        more = self.vanished - len(self.named)
        return ", ".join(self.named) + (f" and {more:,} more" if more else "")


def sources_to_read(
    sources: Sequence[Source], *, settings: IngestSettings
) -> Sequence[Source]:
    """Return the sources, but for paths that are gone and are to be pruned.

    A path that is gone could not be listed, so `prune` alone is not enough for it.

    Raises:
        ConfigError: a source is not there, and is not to be pruned, or it cannot be
            looked at.
    """
    paths = [path for path in paths_of(sources) if not has_magic(path)]
    try:
        gone = [path for path in paths if _is_gone(path)]
    except OSError as error:
        raise ConfigError(
            f"cannot look at {_why(error)}: check its rights and its disk; nothing was "
            "read"
        ) from error
    gone = [path for path in gone if _held(path, settings)]
    left = [source for source in sources if source not in gone]
    if left or not gone:
        check_sources(left)
    return left


def _held(path: str, settings: IngestSettings) -> bool:
    """Tell whether the store holds what was at a path that is gone.

    Raises:
        ConfigError: it does, and may not be pruned.
    """
    store = open_store(settings.store, create=False)
    if not store.exists():
        return False
    with store:
        found = look_for_vanished([path], store)
    if found.vanished and not (settings.prune and settings.yes):
        raise ConfigError(
            f"no such file or folder at {path}, from which the store still holds "
            f"{found.vanished:,} of its {found.stored:,} sources: is a disk not "
            "mounted? If it is really gone, aip ingest with --prune --yes removes what "
            "it held; nothing was read"
        )
    return found.vanished > 0


def look_for_vanished(sources: Sequence[str], store: Store) -> Vanished:
    """Count what has vanished, holding none of it."""
    covered = covers(sources)
    vanished = stored = answering = 0
    named: list[str] = []
    unseen: str | None = None
    for uri in store.uris():
        stored += 1
        try:
            gone = covered(uri) and _is_gone(uri)
        except OSError as error:
            unseen = unseen or _why(error)
            continue
        if gone:
            vanished += 1
            state = store.source(uri)
            answering += state is not None and state.counts.chunks > 0
            if len(named) < MAX_NAMED:
                named.append(uri)
    return Vanished(vanished, stored, tuple(named), unseen, answering)


def forget_vanished(sources: Sequence[str], store: Store) -> tuple[int, int]:
    """Remove what has vanished; return how many sources, and chunks of them."""
    covered = covers(sources)
    removed = deleted = 0
    some: list[str] = []
    for uri in store.uris():
        with suppress(OSError):  # what cannot be looked at may be there
            if covered(uri) and _is_gone(uri):
                some.append(uri)
                removed += 1
        if len(some) == REMOVED_AT_ONCE:
            deleted += store.commit(Write(removed=some)).deleted
            some = []
    return removed, deleted + store.commit(Write(removed=some)).deleted


def check_prune(found: Vanished, *, listing_complete: bool, yes: bool) -> None:
    """Refuse to remove so much, or so blindly, that it is likely a mistake.

    Raises:
        PruneRefused: more than a fifth has vanished, a folder could not be listed, or
            a path not be looked at.
    """
    if yes or not found.vanished:
        return
    if found.unseen:
        raise PruneRefused(
            f"nothing was removed: {found.vanished} sources seem to have vanished, but "
            f"{found.unseen} could not be looked at: mend that, or add --yes, which "
            "removes the others"
        )
    if not listing_complete:
        raise PruneRefused(
            f"nothing was removed: {found.vanished} sources seem to have vanished, but "
            "a folder could not be listed: mend that, or add --yes"
        )
    if found.vanished > MAX_PRUNED_SHARE * found.stored:
        raise PruneRefused(
            f"nothing was removed: {found.vanished} of {found.stored} sources have "
            f"vanished ({found.told()}), more than {MAX_PRUNED_SHARE:.0%}: is a disk "
            "not mounted? If they are really gone, add --yes"
        )


def _is_gone(name: str) -> bool:
    """Tell whether nothing is at a path, nor at the one whose escaped name it is.

    Raises:
        OSError: it cannot be looked at, which `os.path.lexists` takes for gone.
    """
    return _is_nothing(name) and _is_nothing(unescaped(name))


def _is_nothing(path: str) -> bool:
    try:
        os.lstat(path)  # Path is slow
    except (FileNotFoundError, NotADirectoryError, ValueError):  # or none at all
        return True
    return False


def _why(error: OSError) -> str:
    return f"{error.filename} ({error.strerror})"
