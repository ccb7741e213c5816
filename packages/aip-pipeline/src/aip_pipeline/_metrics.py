"""What a run shows to those who collect metrics, whatever they collect with."""

from __future__ import annotations

from typing import Final

CHUNKS: Final = "Chunks by what became of them."
OUTCOMES: Final = ("stored", "unchanged", "filtered", "dead")
TOTALS: Final = {
    "embedded": "Texts embedded and stored.",
    "tokens": "Tokens embedded, as the embedder counts them.",
    "requests": "Requests sent, those sent again included.",
    "retries": "Requests sent again.",
}
HELD_BYTES: Final = "Text and vectors in flight, bounded by max_memory_bytes."
MEMORY_BYTES: Final = "Resident memory of the process."
