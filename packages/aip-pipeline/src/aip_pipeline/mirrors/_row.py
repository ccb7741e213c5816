"""From a chunk of the record to the row that a mirror should hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import blake2b

from aip_pipeline._fingerprint import HASH_BYTES
from aip_pipeline.mirrors._protocol import MirrorRow, MirrorValue
from aip_pipeline.stores import Live

# Past this, a double does not tell one integer from the next.
MAX_INTEGER = 1 << 53
# Numbers come back as JSON, and perhaps through a shorter float on the way.
TOLERANCE = 1e-6

# Not what orjson writes, where that is installed: a digest must stay the same.
_to_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def row_of(live: Live, *, max_metadata_bytes: int) -> MirrorRow:
    """Make the row of a chunk.

    Where the metadata would be too large, the text goes first, since its bytes can be
    read again from the source; then the record's own metadata.
    """
    entry = live.entry
    place: dict[str, MirrorValue] = {
        "source": entry.source,
        "start": entry.start,
        "end": entry.end,
        "line": entry.line,
    }
    if entry.within is not None:
        place["within_start"], place["within_end"] = entry.within
    text = {**place, "text": entry.text}
    hashed = {**place, "text_hash": live.text_hash.hex()}
    more = _flat(entry.metadata)
    for metadata in ({**more, **text}, {**more, **hashed}, text):
        if len(_written(metadata)) <= max_metadata_bytes:
            return MirrorRow(entry.id, entry.vector, metadata)
    return MirrorRow(entry.id, entry.vector, hashed)


def digest_of(row: MirrorRow) -> bytes:
    """Name all that a row holds beside its id."""
    named = blake2b(row.vector, digest_size=HASH_BYTES)
    named.update(_written(row.metadata))
    return named.digest()


def difference(wanted: MirrorRow, held: MirrorRow) -> tuple[str, str] | None:
    """Say which part of a held row is not as wanted, and how; None where all is."""
    if not _close(wanted.vector, held.vector):
        return "mirror-vector", "the mirror holds another vector"
    if wanted.metadata != held.metadata:
        keys = sorted({*wanted.metadata, *held.metadata})
        other = [k for k in keys if wanted.metadata.get(k) != held.metadata.get(k)]
        named = ", ".join(other[:5]) + (", ..." if len(other) > 5 else "")  # noqa: PLR2004  # as above
        return "mirror-metadata", f"the mirror holds other metadata: {named}"
    return None


def _close(wanted: bytes, held: bytes) -> bool:
    """Tell whether two vectors are one, but for how their numbers were written."""
    if wanted == held or len(wanted) != len(held):
        return wanted == held
    import numpy as np  # noqa: PLC0415  # hardly ever needed

    left, right = np.frombuffer(wanted, np.float32), np.frombuffer(held, np.float32)
    return bool(abs(left - right).max() <= TOLERANCE * abs(left).max())


def _written(metadata: Mapping[str, MirrorValue]) -> bytes:
    return _to_text(metadata).encode()


def _flat(metadata: dict[str, object]) -> dict[str, MirrorValue]:
    """Keep what every database can filter by; write the rest as JSON, without nulls."""
    flat: dict[str, MirrorValue] = {}
    for key, value in metadata.items():
        # What a row says of its place must be its own; "$" starts an operator; a name
        # that has the prefix gets another, so that no two become one.
        taken = key in _OURS or key.startswith(("$", _PREFIX))
        name = f"{_PREFIX}{key}" if taken else key
        if value is not None:
            flat[name] = _value(value)
    return flat


_PREFIX = "metadata."
_OURS = frozenset(
    {
        "source",
        "start",
        "end",
        "line",
        "within_start",
        "within_end",
        "text",
        "text_hash",
    }
)


def _value(value: object) -> MirrorValue:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= MAX_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return list(value)
    return json.dumps(value, ensure_ascii=False)
