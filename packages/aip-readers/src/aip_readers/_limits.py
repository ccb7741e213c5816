"""Ceilings on what a source may make us hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

OnOversize: TypeAlias = Literal["error", "skip", "truncate", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bound one record, the decompression ratio, the whole source, and JSON depth.

    A line longer than ``max_record_bytes`` is an ``OversizeError`` ("error"), passed
    over in silence ("skip"), cut short ("truncate"), or given in several records
    ("split"); other formats know "error" and "skip". ``max_ratio`` is decompressed
    bytes over compressed bytes; the first MiB is free. ``max_bytes`` (None: no bound)
    counts decompressed bytes.

    >>> Limits(max_record_bytes=0)
    Traceback (most recent call last):
    ValueError: max_record_bytes must be at least 1, not 0
    """

    max_record_bytes: int = 16 * 1024 * 1024
    max_ratio: float = 250
    max_bytes: int | None = None
    max_depth: int = 200
    on_oversize: OnOversize = "error"

    def __post_init__(self) -> None:
        for name in "max_record_bytes", "max_ratio", "max_bytes", "max_depth":
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        if self.on_oversize not in get_args(OnOversize):
            known = ", ".join(get_args(OnOversize))
            raise ValueError(
                f"on_oversize must be one of {known}, not {self.on_oversize!r}"
            )
