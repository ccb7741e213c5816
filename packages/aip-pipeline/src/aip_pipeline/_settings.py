"""The settings of one ingestion: the same names in code and on the command line."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from numbers import Integral, Real
from typing import Literal, TypedDict, get_args

from aip_readers import Format, read_chunks

MIB = 1 << 20


class Name(str):
    """Mark, in a sentence, the name of a setting."""

    __slots__ = ()


class SettingError(ValueError):
    """Refuse settings that cannot work.

    Args:
        parts: a sentence in pieces, of which each setting is one, a `Name`.

    >>> SettingError(Name("rpm"), " is odd").told(lambda name: f"--{name}")
    '--rpm is odd'
    """

    def __init__(self, *parts: str) -> None:
        super().__init__("".join(parts))
        self._parts = parts

    def told(self, spelled: Callable[[str], str]) -> str:
        """Return the sentence with each setting as whoever set it calls it."""
        return "".join(
            spelled(part) if isinstance(part, Name) else part for part in self._parts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Hold what one ingestion is told; every default is safe in production.

    Args:
        store: URL of the system of record: `sqlite:///PATH`.
        embedder: `local`, or `openai:MODEL` for an OpenAI-compatible server.
        base_url: root of that server's API, such as `http://127.0.0.1:8000/v1`.
        dimensions: components asked of each vector; None leaves it to the model.
        chunk_size: most characters in one chunk.
        chunk_overlap: characters that neighbouring chunks share, at most half.
        batch_size: most texts in one request to the embedder.
        concurrency: requests in flight, or "adaptive" to find the server's limit.
        rpm: requests a minute that the server admits; None when not known.
        tpm: tokens a minute that the server admits; None when not known.
        deadline_s: how long one request may take with all its waits, such as for a
            server that went away, or that asks to wait.
        clean: "nfc" normalizes text and drops control characters; "none" does not.
        fulltext: keep a full-text index; None follows an existing store, else True.
        format: "auto", or the name of a format of aip-readers.
        text_field: the field of a record that holds its text.
        id_field: the field of a record that names it.
        encoding: of text without a byte order mark, or "detect"; PDF and Parquet
            have their own.
        max_memory_bytes: bound on text and vectors in flight, not on the process.
        max_tokens: tokens after which the run stops, resumable; None for no bound.
        max_cost: the same bound in money; needs `price`.
        price: of a million tokens, in any currency.
        prune: forget the sources that have vanished.
        yes: prune also what looks like a mistake.
        mirror: what is kept like the store: `pinecone:https://HOST[/NAMESPACE]`.

    Raises:
        ValueError: a setting is out of range; a `SettingError`.
        TypeError: a number is none.
    """

    store: str = "sqlite:///aip.db"
    embedder: str = "local"
    base_url: str | None = None
    dimensions: int | None = None
    chunk_size: int = 1000
    chunk_overlap: int = 100
    batch_size: int = 64
    concurrency: int | Literal["adaptive"] = "adaptive"
    rpm: int | None = None
    tpm: int | None = None
    deadline_s: float = 600.0
    clean: Literal["nfc", "none"] = "nfc"
    fulltext: bool | None = None
    format: Format = "auto"
    text_field: str = "text"
    id_field: str | None = None
    encoding: str = "utf-8"
    max_memory_bytes: int = 8 * MIB
    max_tokens: int | None = None
    max_cost: float | None = None
    price: float | None = None
    prune: bool = False
    yes: bool = False
    mirror: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is read or paid for."""
        for name, low in _LOWEST.items():
            value = getattr(self, name)
            if value in _NO_NUMBER.get(name, ()):
                continue
            _refuse_type(name, value)
            if not low <= value < inf:
                least = "a finite number" if value == inf else f"at least {low}"
                raise SettingError(Name(name), f" must be {least}, not {value}")
        if self.chunk_overlap > self.chunk_size // 2:
            raise SettingError(
                Name("chunk_overlap"),
                f" ({self.chunk_overlap}) must be at most half of ",
                Name("chunk_size"),
                f" ({self.chunk_size})",
            )
        for name, known in (("clean", ("nfc", "none")), ("format", get_args(Format))):
            value = getattr(self, name)
            if value not in known:
                said = f" must be one of {known}, not {value!r}"
                raise SettingError(Name(name), said)
        try:
            read_chunks("", encoding=self.encoding)  # opens nothing
        except ValueError as error:
            said = str(error).removeprefix("encoding ")
            raise SettingError(Name("encoding"), f" {said}") from error
        if self.max_cost is not None and self.price is None:
            said = ": what a million tokens cost"
            raise SettingError(Name("max_cost"), " needs ", Name("price"), said)

    def token_limit(self) -> int | None:
        """Return the bound on tokens: the smaller of the two given, or None."""
        limits = [self.max_tokens] if self.max_tokens is not None else []
        if self.max_cost is not None and self.price is not None:
            limits.append(int(self.max_cost / self.price * 1_000_000))
        return min(limits, default=None)

    @property
    def budget(self) -> str:
        """Name the bound that `token_limit` comes from: "cost" or "tokens"."""
        limit = self.token_limit()
        return "tokens" if limit == self.max_tokens else "cost"

    def reading(self) -> str:
        """Name what decides how a source becomes chunks; part of its fingerprint."""
        encoding = _name_of(self.encoding)
        return (
            f"{self.chunk_size}/{self.chunk_overlap}/{self.clean}"
            f"/{self.format}/{self.text_field}/{self.id_field or ''}"
            + ("" if encoding == "utf-8" else f"//{encoding}")
        )


def _name_of(encoding: str) -> str:
    """Return the one name of an encoding, however it is spelled."""
    return encoding if encoding == "detect" else codecs.lookup(encoding).name


def _refuse_type(name: str, value: object) -> None:
    whole = name not in _FRACTIONS
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        wanted = "an integer" if whole else "a number"
        raise TypeError(f"{name} must be {wanted}, not {value!r}")


class IngestOptions(TypedDict, total=False):
    """Name the fields of `IngestSettings` that `ingest` takes as keywords."""

    store: str
    base_url: str | None
    dimensions: int | None
    chunk_size: int
    chunk_overlap: int
    batch_size: int
    concurrency: int | Literal["adaptive"]
    rpm: int | None
    tpm: int | None
    deadline_s: float
    clean: Literal["nfc", "none"]
    fulltext: bool | None
    format: Format
    text_field: str
    id_field: str | None
    encoding: str
    max_memory_bytes: int
    max_tokens: int | None
    max_cost: float | None
    price: float | None
    prune: bool
    yes: bool


_LOWEST = {
    "dimensions": 1,
    "chunk_size": 1,
    "chunk_overlap": 0,
    "batch_size": 1,
    "concurrency": 1,
    "rpm": 1,
    "tpm": 1,
    "deadline_s": 0.001,
    "max_memory_bytes": MIB,
    "max_tokens": 0,
    "max_cost": 0,
    "price": 1e-9,
}
_FRACTIONS = {"deadline_s", "max_cost", "price"}
_OPTIONAL = "dimensions", "rpm", "tpm", "max_tokens", "max_cost", "price"
_NO_NUMBER = {**dict.fromkeys(_OPTIONAL, (None,)), "concurrency": ("adaptive",)}
