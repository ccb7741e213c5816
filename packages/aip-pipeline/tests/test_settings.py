from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any, get_type_hints

import pytest

from aip_pipeline import ConservationError, IngestReport, IngestSettings, ingest
from aip_pipeline._settings import IngestOptions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chunk_size": 0}, "chunk_size must be at least 1, not 0"),
        ({"chunk_overlap": -1}, "chunk_overlap must be at least 0, not -1"),
        ({"chunk_size": 100, "chunk_overlap": 51}, "at most half of chunk_size"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"dimensions": 0}, "dimensions must be at least 1"),
        ({"max_memory_bytes": 1000}, "max_memory_bytes must be at least"),
        ({"deadline_s": 0.0}, "deadline_s must be at least 0.001"),
        ({"max_cost": float("nan"), "price": 1.0}, "max_cost must be at least 0"),
        ({"max_cost": float("inf"), "price": 1.0}, "max_cost must be a finite"),
        ({"price": float("nan")}, "price must be at least"),
        ({"clean": "nfd"}, "clean must be one of .*'nfc'.*not 'nfd'"),
        ({"format": "doc"}, "format must be one of .*'jsonl'.*not 'doc'"),
        ({"encoding": "latin-99"}, "encoding 'latin-99' is not known to Python"),
        ({"encoding": "utf-7"}, "encoding 'utf-7' has no exact byte offsets"),
    ],
)
def test_refuses_a_setting_out_of_range(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        IngestSettings(**given)


def test_what_changes_the_chunks_changes_the_fingerprint() -> None:
    plain = IngestSettings().reading()
    for changed in (
        IngestSettings(chunk_size=999),
        IngestSettings(chunk_overlap=99),
        IngestSettings(clean="none"),
        IngestSettings(format="jsonl"),
        IngestSettings(text_field="body"),
        IngestSettings(id_field="id"),
        IngestSettings(encoding="latin-1"),
        IngestSettings(encoding="detect"),
    ):
        assert changed.reading() != plain
    assert IngestSettings(batch_size=1, concurrency=3).reading() == plain


def test_what_stores_hold_of_the_defaults_stays_as_it_is() -> None:
    assert IngestSettings().reading() == "1000/100/nfc/auto/text/"
    assert IngestSettings(encoding="UTF8").reading() == IngestSettings().reading()


def test_one_encoding_has_many_spellings() -> None:
    spelled = {IngestSettings(encoding=name).reading() for name in ("latin-1", "L1")}
    assert len(spelled) == 1


def test_ingest_takes_every_setting_as_a_keyword() -> None:
    settings = {field.name for field in fields(IngestSettings)}
    of_its_own = {"embedder", "mirror"}  # which may be objects, too
    assert set(get_type_hints(IngestOptions)) == settings - of_its_own
    assert of_its_own <= signature(ingest).parameters.keys()


def test_a_gap_in_the_counts_is_an_error() -> None:
    IngestReport(read=4, stored=1, unchanged=1, filtered=1, dead=1).check()
    with pytest.raises(ConservationError, match="4 chunks were read but 3"):
        IngestReport(read=4, stored=1, unchanged=1, filtered=1).check()
