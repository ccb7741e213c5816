"""Every error of the pipeline, each with the exit code that `aip` gives it.

::

    PipelineError                  1
    ├── ConfigError                2  an argument that cannot be right
    │   └── SpaceMismatch          2  the store holds another embedder's vectors
    ├── StoreError                 1  the store cannot be opened, read or written
    ├── EmbedderError              1
    │   ├── EmbedderUnavailable    1  no answer within the deadline
    │   ├── EmbedderDenied         1  a wrong key, model or address
    │   └── EmbedderRefused        1  the texts themselves were refused (4xx)
    ├── MirrorError                1  a mirror cannot be reached or compared
    │   └── MirrorRefused          1  it does not accept some rows
    ├── PruneRefused               1  so much has vanished that it looks wrong
    └── ConservationError          1  a chunk went missing: a bug, never hidden
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of all errors of this package; the message says what, where, what to do."""

    exit_code: ClassVar[int] = 1


class ConfigError(PipelineError):
    """Report an argument, path or setting that cannot be right."""

    exit_code: ClassVar[int] = 2


class SpaceMismatch(ConfigError):
    """Refuse to mix the vectors of two embedders in one store.

    Args:
        message: what to tell the user.
        stored: spec of the embedder that made the store.
        asked: spec of the embedder of this run.
    """

    def __init__(self, message: str, *, stored: str, asked: str) -> None:
        super().__init__(message)
        self.stored = stored
        self.asked = asked


class StoreError(PipelineError):
    """Report a store that cannot be opened, read or written."""


class EmbedderError(PipelineError):
    """Base of what an embedder may raise."""


class EmbedderUnavailable(EmbedderError):
    """Report an embedder that gave no answer within its deadline."""


class EmbedderDenied(EmbedderError):
    """Report a key, model or address that the embedder's server does not accept.

    Args:
        message: what to tell the user.
        status: the HTTP status: 401, 403, 404, ...
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class EmbedderRefused(EmbedderError):
    """Report texts that the embedder's server will never accept: poison.

    Args:
        message: what to tell the user.
        status: the HTTP status: 400, 413, 422.
        reason: the server's own words, shortened.
    """

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class MirrorError(PipelineError):
    """Report a mirror that cannot be brought up to the record, or compared with it."""


class MirrorRefused(MirrorError):
    """Report rows that a mirror will never accept, or too many of them at once."""

    exit_code: ClassVar[int] = 3


class PruneRefused(PipelineError):
    """Refuse to remove what has vanished, because it looks like a mistake."""


class ConservationError(PipelineError):
    """Report that the chunks read are not all accounted for."""
