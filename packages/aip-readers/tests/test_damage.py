"""Damage: every good byte first, then one typed error that says where."""

from __future__ import annotations

import gzip
import json
import pickle
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from aip_readers import (
    CorruptError,
    EncodingError,
    FieldError,
    FileChunkIterator,
    LimitError,
    Limits,
    OpenError,
    OversizeError,
    ParseError,
    ReadError,
    RecordEncodingError,
    TruncatedError,
    open_records,
    read_chunks,
    read_jsonl,
    read_lines,
    reread,
    split,
)

T = TypeVar("T")


def drain(iterator: Iterable[T]) -> tuple[list[T], ReadError | None]:
    items: list[T] = []
    try:
        items.extend(iterator)
    except ReadError as error:
        return items, error
    return items, None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def test_text_before_a_bad_byte_is_delivered_then_the_error(path: Path) -> None:
    path.write_bytes("eins\nzwéi".encode() + b"\xff" + b"drei")
    records, error = drain(open_records(path))
    assert "".join(record.text for record in records) == "eins\nzwéi"
    assert isinstance(error, EncodingError)
    assert (error.offset, error.line) == (10, 2)
    assert str(error) == (
        f"cannot read {path} at byte 10 (line 2): "
        "bytes ff are not utf-8: invalid start byte"
    )


def test_chunks_before_a_bad_byte_are_delivered_then_the_error(path: Path) -> None:
    path.write_bytes(b"good text " * 50 + b"\xff")
    chunks, error = drain(split(open_records(path), size=100, overlap=0))
    assert isinstance(error, EncodingError)
    assert " ".join(chunk.text for chunk in chunks).count("good text") == 50


def test_a_cut_code_point_at_the_end_is_an_error(path: Path) -> None:
    path.write_bytes(b"abc\xe2\x82")
    pieces, error = drain(read_chunks(path, 2))
    assert "".join(pieces) == "abc"
    assert isinstance(error, EncodingError)
    assert error.offset == 3


def test_nul_is_not_text(path: Path) -> None:
    path.write_bytes(b"abc\0def")
    pieces, error = drain(read_chunks(path))
    assert pieces == ["abc"]
    assert isinstance(error, EncodingError)
    assert error.offset == 3


def test_skip_leaves_a_gap_and_goes_on(path: Path) -> None:
    path.write_bytes(b"one\xff\xfetwo\0three")
    records = list(open_records(path, on_error="skip"))
    assert [(r.text, r.start, r.end) for r in records] == [
        ("one", 0, 3),
        ("two", 5, 8),
        ("three", 9, 14),
    ]


def test_a_function_receives_every_error(path: Path) -> None:
    path.write_bytes(b"one\xfftwo\xffthree")
    errors: list[ReadError] = []
    pieces = list(read_chunks(path, on_error=errors.append))
    assert pieces == ["one", "two", "three"]
    assert [error.offset for error in errors] == [3, 7]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_a_byte_order_mark_decides(path: Path, encoding: str) -> None:
    text = "Grüße, 日本 👋\n" * 40
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    path.write_bytes((mark + text).encode(encoding))
    assert "".join(read_chunks(path, 7)) == text
    for chunk in split(open_records(path), size=50, overlap=10):
        named = chunk.metadata.get("encoding", "utf-8")
        assert reread(path, chunk.start, chunk.end).decode(named) == chunk.text
        again = open_records(path, start=chunk.start, start_line=chunk.line)
        assert next(split(again, size=50, overlap=10)).text == chunk.text


def test_gzip_reads_all_members_and_zero_padding(path: Path) -> None:
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 100)
    assert b"".join(FileChunkIterator(path)) == b"one two"


def test_truncated_gzip_gives_every_good_byte_first(path: Path) -> None:
    data = bytes(random.Random(1).choices(b"abcdef \n", k=1_000_000))
    packed = gzip.compress(data)
    path.write_bytes(packed[:-5000])
    blocks, error = drain(FileChunkIterator(path))
    assert isinstance(error, TruncatedError)
    good = b"".join(blocks)
    assert data.startswith(good)
    assert error.offset == len(good) > 980_000


def test_corrupt_gzip_gives_every_good_byte_first(path: Path) -> None:
    data = b"the same words again and again\n" * 1000
    packed = bytearray(gzip.compress(data))
    packed[-6] ^= 0xFF
    path.write_bytes(packed)
    blocks, error = drain(FileChunkIterator(path))
    assert b"".join(blocks) == data
    assert isinstance(error, CorruptError)
    assert error.offset == len(data)


def test_bytes_after_gzip_are_an_error(path: Path) -> None:
    path.write_bytes(gzip.compress(b"one") + b"garbage")
    blocks, error = drain(FileChunkIterator(path))
    assert blocks == [b"one"]
    assert isinstance(error, CorruptError)


def test_a_bomb_is_stopped_by_its_ratio(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\0" * 30_000_000))
    blocks, error = drain(FileChunkIterator(path))
    assert isinstance(error, LimitError)
    assert sum(map(len, blocks)) < 8_000_000


def test_max_bytes_bounds_the_whole(path: Path) -> None:
    path.write_bytes(b"x" * 1000)
    _, error = drain(FileChunkIterator(path, 100, limits=Limits(max_bytes=500)))
    assert isinstance(error, LimitError)
    assert error.offset == 500


@pytest.mark.parametrize("missing", ["nowhere.txt", "."])
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, missing: str) -> None:
    reader = open_records(tmp_path / missing)
    with pytest.raises(OpenError, match=r"cannot read .*: (no such file|is a dir)"):
        next(reader)


JSONL = [
    b'{"id": 7, "text": "good", "tag": "a"}',
    b'{"id": 8, "text": "bad',
    b"",
    b'{"id": 9, "txt": "no text"}',
    b"[1]",
    b'{"id": 10, "text": 5}',
    b'{"id": 11, "text": "\xff"}',
    b'{"text": "no id"}',
    b'{"id": "k", "text": "nul \\u0000 \\ud800"}\r',
    b'{"id": 12, "text": "' + b"x" * 300 + b'"}',
    b'{"id": 13, "text": "last"}',
]


def test_bad_jsonl_records_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(JSONL)))
    errors: list[ReadError] = []
    records = list(
        open_records(
            path,
            id_field="id",
            on_error=errors.append,
            limits=Limits(max_record_bytes=200),
        )
    )
    assert [(r.key, r.text, r.line) for r in records] == [
        ("7", "good", 1),
        ("13", "last", 11),
    ]
    assert records[0].metadata == {"id": 7, "tag": "a"}
    for record in records:
        named = reread(path, record.start, record.end)
        assert named == JSONL[record.line - 1].rstrip(b"\r")
    assert [(type(e), e.line) for e in errors] == [
        (ParseError, 2),
        (FieldError, 4),
        (ParseError, 5),
        (FieldError, 6),
        (RecordEncodingError, 7),
        (FieldError, 8),
        (RecordEncodingError, 9),
        (OversizeError, 10),
    ]
    assert errors[6].reason == "\\u0000 stands for no text"
    assert "has no field 'text'; it has 'id', 'txt'" in errors[1].reason


def test_deep_json_is_a_record_error(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 200_000 + "\n" + '{"a": 1}\n')
    errors: list[ReadError] = []
    assert list(read_jsonl(path, on_error=errors.append)) == [{"a": 1}]
    assert isinstance(errors[0], ParseError)


def test_lines_end_at_newlines_only(path: Path) -> None:
    path.write_bytes("a\r\nb\u2028c\x0bd\x0ce\rf\n\ng".encode())
    assert list(read_lines(path)) == ["a", "b\u2028c\x0bd\x0ce\rf", "", "g"]
    assert [(r.start, r.end) for r in read_lines(path).records()] == [
        (0, 1),
        (3, 14),
        (15, 15),
        (16, 17),
    ]


def test_a_line_that_is_too_long_is_passed_over(path: Path) -> None:
    path.write_bytes(b"a\n" + b"x" * 300_000 + b"\nb\n" + b"y" * 70_000)
    errors: list[ReadError] = []
    limits = Limits(max_record_bytes=65_536)
    lines = list(read_lines(path, limits=limits, on_error=errors.append))
    assert lines == ["a", "b"]
    assert [(e.offset, e.line) for e in errors] == [(2, 2), (300_005, 4)]


def test_readers_close_on_exhaustion_exit_and_error(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    reader = read_lines(path)
    assert list(reader) == ["one", "two"]
    assert (reader.bytes_read, reader.bytes_total) == (8, 8)
    with read_lines(path) as lines:
        assert next(lines) == "one"
    with pytest.raises(ValueError, match=f"the reader of {path} is closed"):
        list(lines)
    with read_lines(path):
        pass


def test_errors_survive_pickling(path: Path) -> None:
    error = EncodingError(str(path), 3, 1, "reason")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert str(again) == str(error)


def test_reread_refuses_what_is_not_there(path: Path) -> None:
    path.write_bytes(b"abc")
    assert reread(path, 1, 3) == b"bc"
    with pytest.raises(TruncatedError, match="ends before byte 9"):
        reread(path, 1, 9)
    with pytest.raises(ValueError, match="0 <= start <= end"):
        reread(path, 3, 1)


def test_json_is_what_the_line_says(path: Path) -> None:
    values = [{"a": "é"}, [1], "x", None]
    path.write_text("\n".join(json.dumps(v, ensure_ascii=False) for v in values))
    assert list(read_jsonl(path)) == values


@pytest.mark.parametrize("line", [b"1\0", b'"x"\0\0', b"\0{}", b"\0", b'{"a\0": 1}'])
def test_a_nul_in_json_or_beside_it_is_an_error_with_its_place(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "nul.jsonl"
    path.write_bytes(b"[1]\n" + line + b"\n[2]\n" + line)
    errors: list[ReadError] = []
    assert list(read_jsonl(path, on_error=errors.append)) == [[1], [2]]
    at = 4 + line.index(b"\0")
    wanted = [(at, 2), (at + len(line) + 5, 4)]
    assert [(error.offset, error.line) for error in errors] == wanted
    assert all("NUL is not text" in error.reason for error in errors)
