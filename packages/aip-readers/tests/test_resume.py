"""Splitting can go on from any chunk, and does not depend on blocks."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import Chunk, Record, open_records, read_chunks, reread, split
from aip_readers._clean import clean

WORDS = st.one_of(
    st.sampled_from(["memory", "a", "the", "end.", "Really?", ".", "x" * 30, "\1"]),
    st.sampled_from(["über", "日本語。", "e\u0301", "🇫🇷🇩🇪", "क्षि", "각", "\u0958"]),
    st.sampled_from(["👩\u200d👩\u200d👧", "\ufeff"]),
)
GAPS = st.sampled_from(
    [" ", " ", " ", "\n", "\n\n", "\r\n", "\t", "", "  \n \n", " " * 40]
)
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=80).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
Sizes = tuple[int, int]
SIZES = st.one_of(
    st.sampled_from([(20, 0), (20, 10), (40, 12), (100, 10)]),
    # Smaller than a grapheme, where a chunk may have to be longer than it should.
    st.sampled_from(
        [(n, overlap) for n in range(1, 7) for overlap in range(n // 2 + 1)]
    ),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def chunks_of(path: Path, sizes: Sizes, start: Chunk | None = None) -> list[Chunk]:
    size, overlap = sizes
    if start is None:
        return list(split(open_records(path), size=size, overlap=overlap))
    records = open_records(path, start=start.start, start_line=start.line)
    ordinal = start.ordinal
    return list(split(records, size=size, overlap=overlap, first_ordinal=ordinal))


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, sizes=SIZES, packed=st.booleans())
def test_resumes_identically_from_every_chunk(
    *, folder: Path, text: str, sizes: Sizes, packed: bool
) -> None:
    path = folder / "text.txt"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    whole = chunks_of(path, sizes)
    for at, chunk in enumerate(whole):
        assert chunks_of(path, sizes, start=chunk) == whole[at:]


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, sizes=SIZES)
def test_every_span_reads_back_as_its_text(
    folder: Path, text: str, sizes: Sizes
) -> None:
    path = folder / "span.txt"
    raw = text.encode()
    path.write_bytes(raw)
    covered = 0
    for ordinal, chunk in enumerate(chunks_of(path, sizes)):
        assert chunk.ordinal == ordinal
        assert chunk.within is None
        assert chunk.line == raw[: chunk.start].count(b"\n") + 1
        assert clean(reread(path, chunk.start, chunk.end).decode()) == chunk.text
        assert chunk.text == chunk.text.strip()
        assert not clean(raw[covered : max(covered, chunk.start)].decode())
        assert chunk.end > covered
        covered = chunk.end
    assert not clean(raw[covered:].decode())


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, sizes=SIZES, block=st.integers(1, 50))
def test_block_size_does_not_matter(
    folder: Path, text: str, sizes: Sizes, block: int
) -> None:
    path = folder / "block.txt"
    path.write_bytes(text.encode())
    size, overlap = sizes
    pieces = read_chunks(path, block).records()
    assert list(split(pieces, size=size, overlap=overlap)) == chunks_of(path, sizes)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), sizes=SIZES)
def test_jsonl_resumes_from_the_first_chunk_of_each_record(
    folder: Path, texts: list[str], sizes: Sizes
) -> None:
    path = folder / "data.jsonl"
    lines = [json.dumps({"text": text, "n": n}) for n, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n\n")
    whole = chunks_of(path, sizes)
    seen = set()
    for at, chunk in enumerate(whole):
        assert chunk.within is not None
        value = json.loads(reread(path, chunk.start, chunk.end))
        assert clean(value["text"][slice(*chunk.within)]) == chunk.text
        assert chunk.metadata == {"n": value["n"]}
        if chunk.start not in seen:
            assert chunks_of(path, sizes, start=chunk) == whole[at:]
        seen.add(chunk.start)


def test_no_character_is_lost_where_a_chunk_outgrows_its_size() -> None:
    def spans(text: str, size: int) -> list[tuple[str, int, int]]:
        record = Record("a", text, 0, len(text.encode()), 1, None, {})
        chunks = split([record], size=size, overlap=0)
        return [(chunk.text, chunk.start, chunk.end) for chunk in chunks]

    assert spans("ab", 1) == [("a", 0, 1), ("b", 1, 2)]
    assert spans("ab\u0300 cd", 2) == [("ab\u0300", 0, 4), ("cd", 5, 7)]
    family = "👩\u200d👩\u200d👧"
    assert spans(f"e{family}x", 2) == [(f"e{family}", 0, 19), ("x", 19, 20)]
    assert spans("e" + "\u0323" * 9, 1)[0] == ("\u1eb9" + "\u0323" * 2, 0, 7)


@settings(max_examples=60, deadline=None)
@given(text=st.text("ab c.\n\1", max_size=40), size=st.integers(1, 8))
def test_ascii_chunks_are_never_longer_than_asked(text: str, size: int) -> None:
    record = Record("a", text, 0, len(text), 1, None, {})
    for chunk in split([record], size=size, overlap=size // 2):
        assert len(chunk.text) <= size


@pytest.mark.parametrize("key", [None, "key"])
def test_text_that_cleans_to_nothing_is_no_chunk(key: str | None) -> None:
    text = "\1" * 30 + " a " + "\1" * 30
    record = Record("s", text, 0, len(text), 1, key, {})
    chunks = split([record], size=10, overlap=0)
    assert [(chunk.text, chunk.ordinal) for chunk in chunks] == [("a", 0)]


def test_ordinals_count_from_zero_in_each_source() -> None:
    records = [Record(source, "some text", 0, 9, 1, None, {}) for source in ("a", "b")]
    assert [(c.source, c.ordinal) for c in split(records)] == [("a", 0), ("b", 0)]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_refuses_settings_that_make_no_sense(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        split([], size=size, overlap=overlap)
