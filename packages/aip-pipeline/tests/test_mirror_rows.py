"""What a mirror is given of a chunk: all that every database can hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aip_pipeline.mirrors import MirrorRow
from aip_pipeline.mirrors._row import difference, digest_of, row_of
from aip_pipeline.stores import Entry, Live

VECTOR = np.array([0.25, -1, 0.1], "<f4").tobytes()
PLACE = {"source": "/a", "start": 3, "end": 9, "line": 2}


def live(text: str = "words", within: Any = None, **metadata: Any) -> Live:
    entry = Entry("1f", "/a", 3, 9, 2, within, text, VECTOR, metadata)
    return Live(7, b"\x01\xff", entry)


def row(chunk: Live, *, most: int = 40_000) -> MirrorRow:
    return row_of(chunk, max_metadata_bytes=most)


def test_a_row_holds_place_text_vector_and_the_records_metadata() -> None:
    made = row(live(author="Ann", year=1999, rank=0.5, read=True, tags=["a", "b"]))
    assert (made.id, made.vector) == ("1f", VECTOR)
    more = {"author": "Ann", "year": 1999, "rank": 0.5, "read": True}
    assert made.metadata == {**more, "tags": ["a", "b"], **PLACE, "text": "words"}
    inner = row(live(within=(4, 8))).metadata
    assert (inner["within_start"], inner["within_end"]) == (4, 8)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"deep": [1, "ä"]}, '{"deep": [1, "ä"]}'),
        ([1, 2], "[1, 2]"),
        ([], "[]"),
        (2**53 + 1, "9007199254740993"),
        (float("nan"), "NaN"),
    ],
)
def test_what_no_filter_knows_is_written_as_json(value: object, written: str) -> None:
    assert row(live(field=value)).metadata["field"] == written


def test_null_is_left_out_and_names_of_ours_give_way() -> None:
    theirs = {"gone": None, "source": "theirs", "$or": "x", "start": 1}
    named = {"metadata.source": "theirs", "metadata.$or": "x", "metadata.start": 1}
    chunk = live()
    chunk.entry.metadata.update(theirs)
    assert row(chunk).metadata == {**named, **PLACE, "text": "words"}


def test_no_two_names_become_one() -> None:
    chunk = live()
    theirs = {"source": "a", "metadata.source": "b", "metadata.metadata.source": "c"}
    chunk.entry.metadata.update(theirs)
    assert {*row(chunk).metadata.values()} >= {"a", "b", "c"}


def test_what_is_too_large_goes_the_text_first() -> None:
    hashed = {**PLACE, "text_hash": "01ff"}
    assert row(live("w" * 500, a="b"), most=300).metadata == {"a": "b", **hashed}
    assert row(live("words", a="b" * 500), most=300).metadata == {
        **PLACE,
        "text": "words",
    }
    assert row(live("w" * 500, a="b" * 500), most=300).metadata == hashed


def test_the_bound_is_of_bytes() -> None:
    made = row(live("ä" * 200), most=300)
    assert "text" not in made.metadata
    assert len(json.dumps(dict(row(live("ä" * 90), most=300).metadata))) > 300


def test_a_digest_names_vector_and_metadata() -> None:
    made = row(live())
    assert digest_of(made) == digest_of(row(live()))
    assert digest_of(made) != digest_of(made._replace(vector=VECTOR[::-1]))
    assert digest_of(made) != digest_of(row(live(a=1)))


def test_a_difference_is_named_and_a_rounded_number_is_none() -> None:
    made = row(live())
    assert difference(made, made) is None
    near = np.array([0.25, -1, np.nextafter(np.float32(0.1), 1)], "<f4").tobytes()
    assert difference(made, made._replace(vector=near)) is None
    for other in ([0.25, -1, 0.1001], [0.25, -1], [np.nan, -1, 0.1], []):
        vector = np.array(other, "<f4").tobytes()
        told = difference(made, made._replace(vector=vector))
        assert told == ("mirror-vector", "the mirror holds another vector")
    changed = {**made.metadata, "text": "word", "line": 3}
    told = difference(made, made._replace(metadata=changed))
    assert told == ("mirror-metadata", "the mirror holds other metadata: line, text")
    many = made._replace(metadata=dict.fromkeys("abcdef", 1))
    assert (difference(made, many) or ("", ""))[1].endswith("a, b, c, d, e, ...")
