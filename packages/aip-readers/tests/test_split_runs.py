"""Text that needs no cleaning is cut in runs: the same chunks, sooner."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import Chunk, Record, read_chunks, split

WORDS = st.one_of(
    st.sampled_from(["memory", "a", "the", "end.", "Really?", "so…", "x" * 30, "\1"]),
    st.sampled_from(
        ["über", "日本語。", "e\u0301", "\u0301", "🇫🇷🇩🇪", "क्षि", "각", "\x7f"]
    ),
    st.sampled_from(["👩\u200d👩\u200d👧", "\u200d", "\u0600", "\ufeff"]),
)
GAPS = st.one_of(
    st.just(" "),
    st.sampled_from(["\n", "\n\n", ".\n\n", "\r\n", "\r\n\r\n", "\t", "", " " * 12]),
    st.sampled_from(["\u3000", "\u2028", "  \n \n", "\n" * 12]),
)
TEXTS = st.lists(st.tuples(WORDS, GAPS), min_size=20, max_size=120).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
SIZES = st.sampled_from([(20, 1), (40, 5), (60, 12), (100, 10), (100, 41)])
PROSE = {
    "ascii": "One of them says it. Two say more! Do three?\nA line. ",
    "accents": "Élan is “not” the naïve word… Über all of it — it is so.\n\n",
    "cjk": "日本語の文章です。漢字を 読む、それだけ。\n\n",
    "emoji": "A family 👩\u200d👩\u200d👧 in 🇫🇷🇩🇪 waves 👍🏽 back. 😀 So it is.\n\n",
    "marks": "Cafe\u0301 and क्षि and a\u0323\u0323 are words.\n\n \u0301x ",
    "crlf": "Lines of another day\r\nend in two. Paragraphs\r\n\r\nin four. ",
    "wide space": "一二三四五六七八九十、" * 6 + "終わり。\u3000\n\n",
    "joiner": "All the words of a paragraph " * 2 + "to join\u200d\n\n",
    "long": "x" * 90 + " " + "ü" * 70 + " end. ",
}


def pieces(text: str, block: int, encoding: str = "utf-8") -> list[Record]:
    metadata = {} if encoding == "utf-8" else {"encoding": encoding}
    records, at, line = [], 5, 1
    for first in range(0, len(text), block):
        part = text[first : first + block]
        end = at + len(part.encode(encoding))
        records.append(Record("s", part, at, end, line, None, metadata))
        at, line = end, line + part.count("\n")
    return records


def cut(records: list[Record], size: int, overlap: int) -> list[Chunk]:
    return list(split(records, size=size, overlap=overlap, clean="none"))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, sizes=SIZES, block=st.sampled_from([7, 64, 1 << 16]))
def test_chunks_are_those_of_an_encoding_that_has_no_runs(
    text: str, sizes: tuple[int, int], block: int
) -> None:
    chunks = cut(pieces(text, block), *sizes)
    others = cut(pieces(text, 1 << 16, "utf-16-le"), *sizes)
    assert [(each.text, each.line, each.ordinal) for each in chunks] == [
        (each.text, each.line, each.ordinal) for each in others
    ]
    keyed = [Record("s", text, 5, 9, 1, "key", {})]
    withins = [each.within or (0, 0) for each in cut(keyed, *sizes)]
    assert [text[first:last] for first, last in withins] == [
        each.text for each in others
    ]
    raw = bytes(5) + text.encode()
    assert [raw[each.start : each.end].decode() for each in chunks] == [
        each.text for each in chunks
    ]


@pytest.mark.parametrize("kind", PROSE)
@pytest.mark.parametrize("block", [50, 1000, 1 << 16])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_spans_and_lines_are_exact(kind: str, block: int, encoding: str) -> None:
    text = PROSE[kind] * 60
    raw = text.encode(encoding)
    covered = 0
    for ordinal, chunk in enumerate(cut(pieces(text, block, encoding), 100, 20)):
        first, last = chunk.start - 5, chunk.end - 5
        assert raw[first:last].decode(encoding) == chunk.text
        assert chunk.text == chunk.text.strip()
        assert chunk.line == raw[:first].decode(encoding).count("\n") + 1
        assert chunk.ordinal == ordinal
        assert len(chunk.text) <= 100
        assert not raw[covered : max(covered, first)].decode(encoding).strip()
        assert len(raw[first:covered].decode(encoding)) <= 20
        assert last > covered
        covered = last
    assert not raw[covered:].decode(encoding).strip()


@pytest.mark.parametrize("line", ["One of those that are long and rare, é.\n", "é\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_pieces_of_a_text_know_their_line(
    tmp_path: Path, line: str, encoding: str
) -> None:
    path = tmp_path / "text"
    raw = (line * 3000).encode(encoding)
    path.write_bytes(raw)

    lines = [
        (piece.line, raw[: piece.start].decode(encoding).count("\n") + 1)
        for piece in read_chunks(path, 2500, encoding=encoding).records()
    ]

    assert len(lines) > 2
    assert all(told == counted for told, counted in lines)


@pytest.mark.parametrize("kind", PROSE)
def test_a_record_is_cut_as_a_plain_text_is(kind: str) -> None:
    text = PROSE[kind] * 20
    record = Record("s", text, 5, 9, 7, "key", {"a": 1})

    chunks = cut([record], 100, 20)

    withins = [chunk.within or (0, 0) for chunk in chunks]
    assert [text[first:last] for first, last in withins] == [c.text for c in chunks]
    assert [c.text for c in chunks] == [c.text for c in cut(pieces(text, 99), 100, 20)]
    assert [c.ordinal for c in chunks] == list(range(len(chunks)))
    assert all(c[2:4] + c[6:] == (5, 9, {"a": 1}, 7) for c in chunks)


@pytest.mark.parametrize("block", [61, 250, 900, 1 << 16])
def test_a_grapheme_longer_than_a_chunk_is_cut_nowhere(block: int) -> None:
    grapheme = "e" + "\u0301" * 150
    text = f"The words before it {grapheme} and the words after it. " * 40

    chunks = cut(pieces(text, block), 100, 20)

    assert sum(grapheme in chunk.text for chunk in chunks) == 40
    assert not any(chunk.text.startswith("\u0301") for chunk in chunks)


def test_a_sentence_that_ends_in_the_middle_of_a_chunk_ends_it() -> None:
    for mark in (". ", "? ", "!\n", ".\r\n"):
        text = "a" * 10 + mark + "bb " * 9
        first = "a" * 10 + mark[0]
        assert cut(pieces(text, 99), 20, 0)[0].text == first


def test_bad_bytes_in_a_run_keep_their_own_length() -> None:
    text = PROSE["accents"] * 20
    size = len(text.encode())
    records = [
        Record("s", text, 0, size, 1, None, {}),
        Record("s", "\ufffd", size, size + 3, 41, None, {}),
        Record("s", text, size + 3, 2 * size + 3, 41, None, {}),
    ]
    raw = text.encode() + b"\xf0\x9f\x98" + text.encode()

    chunks = cut(records, 100, 20)

    assert [
        raw[chunk.start : chunk.end].decode(errors="replace") for chunk in chunks
    ] == [chunk.text for chunk in chunks]
    assert chunks[-1].end == len(raw) - 2
