"""What a run did: counts that must add up, and where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from aip_pipeline._errors import ConservationError

MAX_SUFFIXES_SHOWN = 5


@dataclass(slots=True, kw_only=True)
class IngestReport:
    """Count what one run read, stored and paid for; counts are chunks unless named.

    `read` is every chunk that the sources hold: the chunks of a source that did not
    change are counted from the store, without reading it again. A damaged stretch of
    a source that gave no chunk counts one in `read` and one in `dead`.
    `deleted` counts the chunks of vanished sources that `prune` removed, not those of
    the old versions of sources that changed.
    `mirrored` counts the rows that a mirror took, `mirror_behind` those that
    are left to send or were refused.
    """

    sources: int = 0
    read: int = 0
    stored: int = 0
    unchanged: int = 0
    filtered: int = 0
    dead: int = 0
    deleted: int = 0
    embedded: int = 0
    reused: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    bottleneck: str = "none"
    mirrored: int = 0
    mirror_behind: int = 0

    def add(self, other: IngestReport) -> None:
        """Add the counts of chunks and sources of a part of the run."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, int | float | str]:
        """Return the JSON object that `aip ingest --json` prints."""
        values = asdict(self)
        values["seconds"] = round(self.seconds, 3)
        return values

    def check(self) -> None:
        """Compare what was read with what became of it.

        Raises:
            ConservationError: a chunk is missing or was counted twice.

        >>> IngestReport(read=3, stored=2, dead=1).check()
        >>> IngestReport(read=3, stored=2).check()
        Traceback (most recent call last):
        ...
        aip_pipeline._errors.ConservationError: 3 chunks were read but 2 are ...
        """
        kept = self.stored + self.unchanged + self.filtered + self.dead
        if kept != self.read:
            raise ConservationError(
                f"{self.read} chunks were read but {kept} are accounted for "
                f"(stored {self.stored}, unchanged {self.unchanged}, "
                f"filtered {self.filtered}, dead {self.dead}): please report this bug"
            )


_COUNTS = (
    *("sources", "read", "stored", "unchanged", "filtered", "dead", "deleted"),
    *("embedded", "reused"),
)


def by_suffix(files: Mapping[str, int]) -> str:
    """Name the suffixes of files that were passed over, the most common first.

    >>> by_suffix({".png": 2, "no suffix": 1})
    '.png 2, no suffix 1'
    """
    most = sorted(files.items(), key=lambda pair: -pair[1])[:MAX_SUFFIXES_SHOWN]
    named = ", ".join(f"{suffix} {number:,}" for suffix, number in most)
    return named + ("" if len(most) == len(files) else ", ...")
