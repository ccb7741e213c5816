"""Ceilings on what a source may make us hold."""

from __future__ import annotations

from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._types import OnOversize

ON_OVERSIZE = "error", "skip", "truncate", "split"


def at_least(least: int, name: str, value: int) -> int:
    """Return *value*; raise where it is below *least*, or no whole number.

    >>> at_least(1, "size", 10.5)
    Traceback (most recent call last):
    TypeError: size must be a whole number, not 10.5
    """
    if not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    return value


class Limits:
    """Bound one record, the decompression ratio, the whole source, and JSON depth.

    A line longer than ``max_record_bytes`` (without its end) is an ``OversizeError``
    ("error"), passed over in silence ("skip"), cut short ("truncate"), or given in
    several records ("split"); other formats know "error" and "skip". ``max_ratio`` is
    decompressed bytes over compressed bytes; the first MiB is free. ``max_bytes``
    (None: no bound) counts decompressed bytes. Frozen.

    >>> Limits(max_record_bytes=0)
    Traceback (most recent call last):
    ValueError: max_record_bytes must be at least 1, not 0
    """

    # Written out, because importing dataclasses takes more memory than reading does.
    __slots__ = "max_bytes", "max_depth", "max_ratio", "max_record_bytes", "on_oversize"
    max_record_bytes: int
    max_ratio: float
    max_bytes: int | None
    max_depth: int
    on_oversize: OnOversize

    def __init__(
        self,
        *,
        max_record_bytes: int = 16 * 1024 * 1024,
        max_ratio: float = 250,
        max_bytes: int | None = None,
        max_depth: int = 500,
        on_oversize: OnOversize = "error",
    ) -> None:
        if not isinstance(max_ratio, int | float):
            raise TypeError(f"max_ratio must be a number, not {max_ratio!r}")
        if not max_ratio >= 1:  # which NaN is not either
            raise ValueError(f"max_ratio must be at least 1, not {max_ratio!r}")
        if max_bytes is not None:
            at_least(1, "max_bytes", max_bytes)
        given = {
            "max_record_bytes": at_least(1, "max_record_bytes", max_record_bytes),
            "max_ratio": max_ratio,
            "max_bytes": max_bytes,
            "max_depth": at_least(1, "max_depth", max_depth),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        if on_oversize not in ON_OVERSIZE:
            known = ", ".join(ON_OVERSIZE)
            raise ValueError(f"on_oversize must be one of {known}, not {on_oversize!r}")
        object.__setattr__(self, "on_oversize", on_oversize)

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Limits are frozen: make new ones with {name}={value!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Limits) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        pairs = zip(self.__slots__, self._values(), strict=True)
        return f"Limits({', '.join(f'{name}={value!r}' for name, value in pairs)})"
