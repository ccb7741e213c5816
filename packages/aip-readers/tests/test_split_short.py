"""A record that needs no cut is one chunk, told by its own span."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from aip_readers import Cleaner, Record, split
from aip_readers._clean import Form

PIECES = st.lists(
    st.sampled_from(
        [" ", "\n", "\t", "a", "e\u0301", "b. ", "\u3000", "\0", "日", "\r"]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize("form", ["nfc", "none"])
@given(text=PIECES)
def test_short_record_is_one_chunk_of_its_clean_text(form: Form, text: str) -> None:
    record = Record("s", text, 3, 90, 7, "k", {"a": 1})
    bare = text.strip()
    clean = Cleaner(form=form)(bare)

    chunks = list(split([record, record], size=1000, overlap=10, clean=form))

    assert [chunk.ordinal for chunk in chunks] == ([0, 1] if clean else [])
    for chunk in chunks:
        assert chunk.within is not None
        first, last = chunk.within
        assert text[first:last] == bare
        assert (chunk.text, chunk.start, chunk.end, chunk.line) == (clean, 3, 90, 7)


def test_text_that_cleaning_lengthens_is_cut_all_the_same() -> None:
    text = "\u0958" * 10  # NFC writes this letter with two code points

    chunks = list(split([Record("s", text, 0, 30, 1, "", {})], size=10, overlap=0))

    assert len(chunks) == 2
    assert all(len(chunk.text) <= 10 for chunk in chunks)
