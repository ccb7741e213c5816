"""Cleaning equals its reference, whatever the pieces."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import Cleaner, clean_chunks
from aip_readers._clean import CONTROLS, clean

DIRTY = st.text(
    st.one_of(
        st.sampled_from(
            " \t\n\r\x0b\x0c\x85\xa0\u2028\u3000\0\x07\ufeff\ud800e\u0301aZ."
        ),
        st.characters(),
    ),
    max_size=60,
)


def reference(text: str) -> str:
    text = re.sub(CONTROLS, "", re.sub("[\ud800-\udfff]", "\ufffd", text))
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


@settings(max_examples=300, deadline=None)
@given(text=DIRTY)
def test_clean_equals_its_reference_and_itself(text: str) -> None:
    assert clean(text) == reference(text)
    assert clean(clean(text)) == clean(text)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(DIRTY, max_size=8))
def test_cleaning_in_pieces_equals_cleaning_the_whole(pieces: list[str]) -> None:
    assert "".join(clean_chunks(pieces)) == reference("".join(pieces))


def test_none_changes_nothing() -> None:
    assert list(clean_chunks([" a\t", "b "], form="none")) == [" a\t", "b "]
    assert Cleaner(form="none")(" a\t") == " a\t"


def test_refuses_an_unknown_form() -> None:
    with pytest.raises(ValueError, match="clean must be"):
        Cleaner(form="nfd")  # type: ignore[arg-type]  # what a caller may write
