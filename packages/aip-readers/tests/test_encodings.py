"""A byte order mark decides, else UTF-8, else what the caller names."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies as st

from aip_readers import (
    Cleaner,
    EncodingError,
    Limits,
    MissingExtraError,
    OversizeError,
    ReadError,
    open_records,
    read_chunks,
    read_csv,
    read_html,
    read_jsonl,
    read_lines,
    reread,
    split,
)

TEXT = "Grüße,\r\nein Satz.\n\nŻ €5\nend"
WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


@pytest.mark.parametrize("encoding", [*WIDE, "utf-8"])
@pytest.mark.parametrize("marked", [True, False])
def test_lines_in_wide_encodings(path: Path, encoding: str, marked: bool) -> None:  # noqa: FBT001  # parametrised
    path.write_bytes((("\ufeff" if marked else "") + TEXT).encode(encoding))
    named = "utf-8" if marked else encoding
    reader = read_lines(path, encoding=named)
    assert list(reader) == ["Grüße,", "ein Satz.", "", "Ż €5", "end"]
    records = list(read_lines(path, encoding=named).records())
    for record in records:
        assert reread(path, record.start, record.end).decode(encoding) == record.text
    assert [record.line for record in records] == [1, 2, 3, 4, 5]
    second = open_records(
        path, format="lines", encoding=named, start=records[1].end, start_line=2
    )
    assert list(second) == records[2:]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "gbk", "shift_jis", "big5"])
def test_encodings_that_the_caller_names(path: Path, encoding: str) -> None:
    text = "alpha beta.\nsecond line\n" * 9000
    if encoding in {"gbk", "shift_jis", "big5"}:
        text = text.replace("beta", "日本")
    else:
        text = text.replace("beta", "Grüße")
    path.write_bytes(text.encode(encoding))
    assert "".join(read_chunks(path, 1001, encoding=encoding)) == text
    for chunk in split(open_records(path, encoding=encoding)):
        raw = reread(path, chunk.start, chunk.end)
        assert raw.decode(chunk.metadata["encoding"]).split() == chunk.text.split()
    assert list(read_lines(path, encoding=encoding)) == text.splitlines()


@pytest.mark.parametrize("encoding", ["gbk", "shift_jis", "euc_jp"])
def test_no_block_cuts_a_code_point(path: Path, encoding: str) -> None:
    path.write_bytes("日本 a".encode(encoding))
    for size in 1, 2, 3:
        assert "".join(read_chunks(path, size, encoding=encoding)) == "日本 a"
    path.write_bytes("日".encode(encoding) + b"\xff" * 4 + b"a")
    for size in 1, 3, 4096:
        pieces = read_chunks(path, size, encoding=encoding, on_error="skip")
        assert "".join(pieces) == "日a"


def test_jsonl_and_csv_in_utf_16(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    lines = [json.dumps({"text": f"ü{n}"}, ensure_ascii=False) for n in range(3)]
    data.write_bytes("\n".join(lines).encode("utf-16"))
    assert list(read_jsonl(data)) == [{"text": f"ü{n}"} for n in range(3)]
    for record, line in zip(open_records(data), lines, strict=True):
        assert reread(data, record.start, record.end).decode("utf-16-le") == line
    table = tmp_path / "data.csv"
    table.write_bytes('id,text\n1,"ä\nö"\n'.encode("utf-16"))
    assert list(read_csv(table)) == [{"id": "1", "text": "ä\nö"}]


def test_a_lone_unit_of_utf_16_is_an_error(path: Path) -> None:
    path.write_bytes("\ufeffgood".encode("utf-16-le") + b"\x00\xd8x\x00")
    pieces = read_chunks(path)
    assert next(pieces) == "good"
    with pytest.raises(EncodingError) as caught:
        next(pieces)
    assert caught.value.offset == 10


def test_a_long_line_in_utf_16_is_reported(path: Path) -> None:
    path.write_bytes(
        ("\ufeffa\n" + "x" * 200_000 + "\nb\n" + "y" * 90 + "\nc").encode("utf-16-le")
    )
    errors: list[ReadError] = []
    limits = Limits(max_record_bytes=100)
    lines = list(read_lines(path, limits=limits, on_error=errors.append))
    assert lines == ["a", "b", "c"]
    assert [(type(e), e.line) for e in errors] == [
        (OversizeError, 2),
        (OversizeError, 4),
    ]
    silent = Limits(max_record_bytes=100, on_oversize="skip")
    assert list(read_lines(path, limits=silent)) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["utf-7", "iso2022_jp", "rot13", "nonsense", "idna"])
def test_refuses_encodings_without_exact_offsets(path: Path, name: str) -> None:
    for reader in read_chunks, read_lines, read_jsonl, read_csv, read_html:
        with pytest.raises(ValueError, match="encoding"):
            reader(path, encoding=name)


def test_detects_an_encoding(path: Path) -> None:
    pytest.importorskip("charset_normalizer", reason="needs the extra detect")
    text = "Это обычный русский текст, достаточно длинный для догадки. " * 20
    path.write_bytes(text.encode("cp1251"))
    assert "".join(read_chunks(path, encoding="detect")) == text
    path.write_bytes(text.encode())
    assert "".join(read_chunks(path, encoding="detect")) == text


@pytest.mark.parametrize("block", [1000, 60_000, 65_536, 100_000])
def test_detection_looks_at_the_same_bytes_whatever_the_blocks(
    path: Path, block: int
) -> None:
    path.write_bytes(b"a line\n" * 9500 + "déjà vu\n".encode("latin-1") * 9000)
    with pytest.raises(EncodingError) as caught:
        list(read_chunks(path, block, encoding="detect"))
    assert caught.value.offset == 66_501


def test_detection_without_its_extra_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    path.write_bytes(b"caf\xe9 noir")
    with pytest.raises(MissingExtraError, match=r"aip-readers\[detect\]"):
        next(read_chunks(path, encoding="detect"))


@settings(max_examples=100, deadline=None)
@given(
    data=st.binary(max_size=80),
    size=st.integers(1, 9),
    encoding=st.sampled_from(["utf-8", *WIDE, "gbk"]),
)
def test_nothing_is_dropped_in_silence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int, encoding: str
) -> None:
    """Good pieces and reported runs make up the file, whatever the blocks are."""
    path = tmp_path_factory.getbasetemp() / "bytes.txt"
    path.write_bytes(data)
    errors: list[ReadError] = []
    reader = read_chunks(path, size, encoding=encoding, on_error=errors.append)
    assume(not data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7z", b"\x28\xb5")))
    assume(data[1:4] != b"\x2a\x4d\x18")
    records = list(reader.records())
    for record in records:
        named = record.metadata.get("encoding", "utf-8")
        assert data[record.start : record.end].decode(named) == record.text
        assert "\0" not in record.text
    gaps = set(range(len(data))).difference(
        *(range(record.start, record.end) for record in records)
    )
    starts = {error.offset for error in errors}
    has_mark = data[:1] in {b"\xff", b"\xfe", b"\xef", b"\0"}
    assert has_mark or bool(gaps) == bool(starts)
    assert has_mark or starts <= gaps


def test_korean_letters_that_would_be_one_syllable_keep_their_bytes(path: Path) -> None:
    path.write_bytes(b"\xa4\xd4\xa4\xa1\xa4\xbf\xa4\xd4 \xb0\xa1 next line")
    for size in 1, 3, 7, 100:
        pieces = read_chunks(path, size, encoding="euc-kr").records()
        chunks = list(split(pieces, size=9, overlap=0))
        assert [chunk.text for chunk in chunks] == ["ㅤㄱㅏㅤ 가", "next line"]
        for chunk in chunks:
            raw = reread(path, chunk.start, chunk.end)
            assert raw.decode("cp949") == chunk.text


def test_replaced_bytes_are_traced_where_the_encoding_has_no_sign_for_them(
    path: Path,
) -> None:
    path.write_bytes(b"caf\xe9  \x81bar")
    pieces = read_chunks(path, encoding="cp1252", on_error="replace").records()
    found = [
        (piece.text[at], piece.span(at, at + 1))
        for piece in Cleaner().trace(pieces)
        for at in range(len(piece.text))
    ]
    assert "".join(character for character, _ in found) == "café \ufffdbar"
    assert [span for _, span in found[3:5]] == [(3, 4), (4, 6)]
    start, end = found[5][1]
    assert start == 6 < end <= 10  # its word's, which is no more exact
