"""Cleaning equals its reference, whatever the pieces."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import Cleaner, OnError, Record, clean_chunks, open_records
from aip_readers._clean import (
    COMPOSES,
    CONTROLS,
    clean,
    is_mark,
    is_plain,
    last_cut,
    plain,
)

# Not st.text, which draws from the union of both, and so hardly ever from the first.
DIRTY = st.lists(
    st.one_of(
        st.sampled_from(
            " \t\n\r\x0b\x0c\x85\xa0\u2028\u3000\0\x07\ufeff\ud800e\u0301aZ."
        ),
        st.characters(),
    ),
    max_size=60,
).map("".join)


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


@settings(max_examples=300, deadline=None)
@given(text=DIRTY, ends=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_of_a_plain_text_every_part_is_only_stripped(
    text: str, ends: tuple[int, int]
) -> None:
    for whole in (text, clean(text)):
        if is_plain(whole):
            part = whole[slice(*ends)]
            assert clean(part) == part.strip() == reference(part)


@pytest.mark.parametrize("text", ["a\nb c", "caf\xe9 \u2019\u6f22", "", "\n"])
def test_what_cleaning_leaves_alone_is_plain(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize("text", ["a  b", "a \nb", "a\r\nb", "\xa0", "e\u0301", "\0"])
def test_what_cleaning_changes_is_not_plain(text: str) -> None:
    assert not is_plain(f"a{text}b")


def test_none_changes_nothing() -> None:
    assert list(clean_chunks([" a\t", "b "], form="none")) == [" a\t", "b "]
    assert Cleaner(form="none")(" a\t") == " a\t"


def test_refuses_an_unknown_form() -> None:
    with pytest.raises(ValueError, match="clean must be"):
        Cleaner(form="nfd")  # type: ignore[arg-type]  # what a caller may write


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(DIRTY.map(lambda text: text.replace("\ud800", "x")), max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-16-le"]),
    data=st.data(),
)
def test_a_trace_maps_every_character_to_its_bytes(
    pieces: list[str], encoding: str, data: st.DataObject
) -> None:
    pieces = [piece.encode(errors="ignore").decode() for piece in pieces]
    raw = "".join(pieces).encode(encoding)
    records, at = [], 0
    for piece in pieces:
        end = at + len(piece.encode(encoding))
        records.append(Record("a", piece, at, end, 1, None, {"encoding": encoding}))
        at = end
    traced = list(Cleaner().trace(records))
    assert "".join(each.text for each in traced) == reference("".join(pieces))
    last = 0
    for each in traced:
        assert last <= each.start <= each.end
        last = each.end
        spans = [each.span(at, at + 1) for at in range(len(each.text))]
        assert spans == sorted(spans)
        for (start, end), character in zip(spans, each.text, strict=True):
            # What the bytes say is, clean, the character, or what it is a part of.
            said = plain(raw[start:end].decode(encoding))
            assert character in said
        first = data.draw(st.integers(0, len(each.text) - 1))
        past = data.draw(st.integers(first + 1, len(each.text)))
        start, end = each.span(first, past)
        assert (start, end) == (spans[first][0], spans[past - 1][1])
        said = plain(raw[start:end].decode(encoding))
        assert each.text[first:past] in said


def test_a_trace_knows_bytes_that_were_replaced_or_skipped(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"a\xff \xe2\x82b\0\0c")

    def spans(policy: OnError) -> list[tuple[str, tuple[int, int]]]:
        traced = Cleaner().trace(open_records(path, on_error=policy))
        return [
            (piece.text[at], piece.span(at, at + 1))
            for piece in traced
            for at in range(len(piece.text))
        ]

    replaced = [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6), (6, 7), (7, 8), (8, 9)]
    assert spans("replace") == list(
        zip("a\ufffd \ufffdb\ufffd\ufffdc", replaced, strict=True)
    )
    assert spans("skip") == [("a", (0, 1)), (" ", (2, 3)), ("b", (5, 6)), ("c", (8, 9))]


def test_a_trace_refuses_what_has_no_bytes_of_its_own() -> None:
    row = Record("a", "text", 0, 9, 1, "key", {})
    with pytest.raises(ValueError, match="only pieces of plain text"):
        next(Cleaner().trace([row]))
    with pytest.raises(ValueError, match="changes nothing"):
        Cleaner(form="none").trace([])
    piece = next(Cleaner().trace([row._replace(key=None, end=4)]))
    for first, last in (0, 0), (-1, 2), (2, 5), (3, 2):
        with pytest.raises(ValueError, match="a span needs"):
            piece.span(first, last)


@pytest.mark.parametrize(
    "unit", ["日本語、", "e\u0301", "\u0301", " ", "\r\n", "a\u200d", "한글", "x", "\1"]
)
def test_a_long_text_without_a_word_is_cleaned_whatever_the_blocks(unit: str) -> None:
    text = unit * 40_000
    expected = reference(text)
    for size in 7, 4096, len(text):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join(clean_chunks(pieces)) == expected


def test_nothing_composes_over_a_place_where_cleaning_cuts() -> None:
    """In the Unicode of this Python, whatever it is."""
    for code in range(0x80, sys.maxunicode + 1):
        character = chr(code)
        whole = unicodedata.normalize("NFD", character)
        if len(whole) > 1 and unicodedata.normalize("NFC", whole) == character:
            assert not last_cut(f"{whole[:-1]}{whole[-1]}", len(whole) - 1), hex(code)
        if last_cut("a" + character):
            first = whole[0]
            assert not is_mark(first), hex(code)
            assert not COMPOSES.match(first), hex(code)
