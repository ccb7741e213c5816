"""Read, clean, chunk, batch, embed, store: resumable, exactly once, bounded.

Names are imported on first use, so that `aip --version` does not wait for numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from aip_pipeline._errors import (
    ConfigError,
    ConservationError,
    EmbedderDenied,
    EmbedderError,
    EmbedderRefused,
    EmbedderUnavailable,
    MirrorError,
    MirrorRefused,
    PipelineError,
    PruneRefused,
    SpaceMismatch,
    StoreError,
)

if TYPE_CHECKING:
    from aip_pipeline._export import export
    from aip_pipeline._ingest import ingest, ingest_sync
    from aip_pipeline._ingestion import Ingestion
    from aip_pipeline._report import IngestReport
    from aip_pipeline._retry import RetryReport, retry_dead
    from aip_pipeline._search import search
    from aip_pipeline._settings import IngestSettings
    from aip_pipeline._sources import RecordSource
    from aip_pipeline._verify import verify
    from aip_pipeline.embedders import Embedder, open_embedder
    from aip_pipeline.mirrors import Mirror, MirrorRow, open_mirror
    from aip_pipeline.stores import Fault, Hit, Store, open_store

__all__ = [
    "ConfigError",
    "ConservationError",
    "Embedder",
    "EmbedderDenied",
    "EmbedderError",
    "EmbedderRefused",
    "EmbedderUnavailable",
    "Fault",
    "Hit",
    "IngestReport",
    "IngestSettings",
    "Ingestion",
    "Mirror",
    "MirrorError",
    "MirrorRefused",
    "MirrorRow",
    "PipelineError",
    "PruneRefused",
    "RecordSource",
    "RetryReport",
    "SpaceMismatch",
    "Store",
    "StoreError",
    "export",
    "ingest",
    "ingest_sync",
    "open_embedder",
    "open_mirror",
    "open_store",
    "retry_dead",
    "search",
    "verify",
]

_HOMES = {
    "Embedder": "embedders",
    "Fault": "stores",
    "Hit": "stores",
    "IngestReport": "_report",
    "IngestSettings": "_settings",
    "Ingestion": "_ingestion",
    "Mirror": "mirrors",
    "MirrorRow": "mirrors",
    "RecordSource": "_sources",
    "RetryReport": "_retry",
    "Store": "stores",
    "export": "_export",
    "ingest": "_ingest",
    "ingest_sync": "_ingest",
    "open_embedder": "embedders",
    "open_mirror": "mirrors",
    "open_store": "stores",
    "retry_dead": "_retry",
    "search": "_search",
    "verify": "_verify",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module the first time it is asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, those not imported yet included."""
    return sorted({*globals(), *__all__})
