"""Chunks counted in tokens: never more than asked, the same whatever the blocks."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import (
    Chunk,
    Record,
    Splitter,
    open_records,
    read_chunks,
    reread,
    split,
)
from aip_readers._clean import clean
from aip_readers._graphemes import is_safe_cut

WORDS = st.one_of(
    st.sampled_from(["memory", "a", "the", "end.", "Really?", "x" * 40, "\1"]),
    st.sampled_from(
        ["über", "日本語。", "e\u0301", "🇫🇷🇩🇪", "क्षि", "👩\u200d👩\u200d👧"]
    ),
)
GAPS = st.sampled_from([" ", " ", "\n", "\n\n", "\r\n", "\t", "", " " * 60])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


def by_pieces(text: str) -> int:
    """Count as a tokenizer of words and pieces of them does."""
    return len(re.findall(r"\s?\w{1,5}|\s?[^\w\s]|\s", text))


def by_bytes(text: str) -> int:
    return len(text.encode())


def wildly(text: str) -> int:
    """Count as no tokenizer should: more text is often fewer tokens."""
    return len(text) // 2 + crc32(text.encode()) % 7


COUNTERS = st.sampled_from([by_pieces, by_bytes, wildly, len])
SIZES = st.sampled_from([(1, 0), (5, 2), (12, 0), (12, 6), (40, 10), (200, 20)])


@settings(max_examples=80, deadline=None)
@given(text=TEXTS, sizes=SIZES, length=COUNTERS, block=st.integers(1, 60))
def test_token_chunks_hold_their_laws(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    sizes: tuple[int, int],
    length: Callable[[str], int],
    block: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "tokens.txt"
    path.write_bytes(text.encode())
    size, overlap = sizes
    splitter = Splitter(size=size, overlap=overlap, length=length)
    chunks = list(splitter.split(open_records(path)))
    # The same whatever the blocks are.
    assert list(splitter.split(read_chunks(path, block).records())) == chunks
    raw, covered = text.encode(), 0
    for chunk in chunks:
        assert clean(reread(path, chunk.start, chunk.end).decode()) == chunk.text
        assert chunk.end > covered
        assert not clean(raw[covered : max(covered, chunk.start)].decode())
        covered = chunk.end
        if length(chunk.text) > size:
            # One grapheme, or what is left of one past 8 characters a token.
            end = len(raw[: chunk.end].decode())
            first = len(raw[: chunk.start].decode())
            assert not any(
                is_safe_cut(text, at, first) and length(clean(text[first:at])) <= size
                for at in range(first + 1, end)
            )
    assert not clean(raw[covered:].decode())
    # One that goes on from any chunk goes on exactly.
    for at, chunk in enumerate(chunks):
        again = open_records(path, start=chunk.start, start_line=chunk.line)
        rest = splitter.split(again, first_ordinal=chunk.ordinal)
        assert list(rest) == chunks[at:]


@settings(max_examples=80, deadline=None)
@given(text=TEXTS, sizes=SIZES)
def test_overlaps_have_no_more_tokens_than_asked(
    text: str, sizes: tuple[int, int]
) -> None:
    size, overlap = sizes
    record = Record("a", text, 0, 9, 1, "key", {})
    chunks = list(split([record], size=size, overlap=overlap, length=by_pieces))
    for one, two in pairwise(chunks):
        assert one.within
        assert two.within
        shared = text[two.within[0] : one.within[1]]
        assert by_pieces(clean(shared)) <= overlap


def chunk_texts(text: str, size: int, overlap: int = 0) -> list[str]:
    record = Record("a", text, 0, len(text.encode()), 1, None, {})
    chunks = split([record], size=size, overlap=overlap, length=by_pieces)
    return [chunk.text for chunk in chunks]


def test_chunks_are_nearly_full_and_end_where_sentences_do() -> None:
    text = "One two three. Four five six. Seven eight nine ten."
    assert chunk_texts(text, 8) == ["One two three. Four five six.", text[30:]]
    lines = "word " * 5000
    counts = [by_pieces(each) for each in chunk_texts(lines, 200)]
    assert all(180 <= count <= 200 for count in counts[:-1])


def test_a_grapheme_of_too_many_tokens_is_its_own_chunk() -> None:
    family = "👩\u200d👩\u200d👧"
    record = Record("a", f"ab{family}cd", 0, 22, 1, None, {})
    texts = [each.text for each in split([record], size=4, overlap=0, length=by_bytes)]
    assert texts == ["ab", family, "cd"]


def test_memory_is_constant(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"

    def peak(n_words: int) -> int:
        path.write_text("several words of it. " * n_words)
        splitter = Splitter(size=256, overlap=32, length=lambda text: text.count(" "))
        chunks: Iterator[Chunk] = splitter.split(open_records(path))
        next(chunks)
        tracemalloc.start()
        for _ in chunks:
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    small, large = peak(12_000), peak(36_000)
    assert large < small * 1.1 + 20_000
    assert large < 1_000_000
