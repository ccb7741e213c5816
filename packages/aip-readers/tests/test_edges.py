"""The rarer ways through what decides damage, limits and resume."""

from __future__ import annotations

import bz2
import gzip
import os
import pickle
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import aip_readers
from aip_readers import (
    ChangedError,
    CorruptError,
    EncodingError,
    ErrorReport,
    FileChunkIterator,
    Format,
    LimitError,
    Limits,
    MissingExtraError,
    OpenError,
    OversizeError,
    TruncatedError,
    open_records,
    read_chunks,
    read_csv,
    read_jsonl,
    read_lines,
    reread,
)
from aip_readers._codecs import codec_of
from aip_readers._members import MemberStream
from aip_readers._reader import _CURSOR


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_limits_are_values() -> None:
    one, two = Limits(max_bytes=5), Limits(max_bytes=5)
    assert one == two
    assert hash(one) == hash(two)
    assert one != Limits()
    assert one != 5
    assert "max_bytes=5" in repr(one)
    with pytest.raises(AttributeError, match="Limits are frozen"):
        one.max_bytes = 6
    for name in "max_bytes", "max_depth", "max_ratio", "max_record_bytes":
        with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
            Limits(**{name: 0})  # type: ignore[arg-type]  # each takes a number


def test_settings_that_make_no_sense_are_refused(path: Path) -> None:
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="chunk_size must be at least 1, not 0"):
        read_lines(path, 0)
    with pytest.raises(ValueError, match="start must be at least 0, not -1"):
        read_lines(path, start=-1)
    with pytest.raises(ValueError, match=r"on_error must be .* not 'ignore'"):
        read_lines(path, on_error="ignore")  # type: ignore[arg-type]  # a mistake
    mistakes: tuple[Any, ...] = {"offset": 1}, [], "17", dict.fromkeys(_CURSOR, "1")
    for wrong in mistakes:
        with pytest.raises(ValueError, match="no cursor: take one from a reader"):
            open_records(path, cursor=wrong)
    for field in "max_record_bytes", "max_ratio", "max_depth":
        for value in None, 0, float("nan"), "1M":
            with pytest.raises((TypeError, ValueError), match=f"{field} must be a"):
                Limits(**{field: value})  # type: ignore[arg-type]  # the same
    with pytest.raises(ValueError, match="keep must be at least 0, not -1"):
        ErrorReport(keep=-1)


def test_a_mistake_is_told_in_a_sentence(path: Path) -> None:
    path.write_bytes(b"x")
    other = path.with_name("other")
    other.write_bytes(b"y")
    untyped: Any = aip_readers
    mistakes: dict[str, Callable[[], object]] = {
        "a path is text, not b'.*fsdecode": lambda: untyped.read_lines(b"file"),
        r"limits must be Limits\(...\)": lambda: untyped.read_lines(path, limits=5),
        "start must be a whole number": lambda: untyped.read_lines(path, start="3"),
        "start_line must be at least 1": lambda: open_records(path, start_line=0),
        "encoding None is not known": lambda: untyped.read_lines(path, encoding=None),
        "keep must be a whole number": lambda: untyped.ErrorReport(keep="x"),
        "a reader is wanted, or other items": lambda: untyped.stream("file"),
        "pieces of text are wanted": lambda: list(untyped.clean_chunks("file")),
        "size must be a whole number": lambda: list(untyped.split([], size=10.5)),
        "first_ordinal must be at least 0": lambda: list(
            untyped.split([], first_ordinal=-1)
        ),
        "this record is of .*other, not of .*file": lambda: open_records(path).cursor(
            next(open_records(other))
        ),
        "records are wanted, not dict": lambda: untyped.read_csv(path).cursor({"a": 1}),
    }
    for told, mistake in mistakes.items():
        with pytest.raises((TypeError, ValueError), match=told):
            mistake()


def test_a_missing_extra_survives_pickling() -> None:
    error = MissingExtraError("a.pdf", "pdf", "pypdfium2")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (str(again), again.extra) == (str(error), "pdf")


def test_a_report_reads_as_a_list_with_an_end(path: Path) -> None:
    path.write_bytes(b"a\xff\n\0\n\xff\n")
    report = ErrorReport(keep=1)
    assert str(report) == "no errors"
    assert list(read_lines(path, on_error=report)) == []
    first, second, last = str(report).splitlines()
    assert first == "3 errors (3 RecordEncodingError)"
    assert second.startswith("cannot read ")
    assert last == "and 2 more"


def test_a_cursor_needs_something_read(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    with open_records(path, format="lines") as records:
        first = next(records)
    with pytest.raises(OpenError, match="nothing was read yet"):
        open_records(path, format="lines").cursor(first)


def test_batches_and_items_are_one_pass(path: Path) -> None:
    path.write_bytes(b"one\ntwo\n")
    reader = read_lines(path)
    assert next(reader) == "one"
    assert list(reader.batches()) == []
    closed = read_lines(path)
    closed.close()
    for again in closed.batches, closed.__iter__, closed.__next__:
        with pytest.raises(ValueError, match="is closed: make a new one"):
            again()


def test_a_start_past_the_end_reads_nothing(path: Path) -> None:
    for data in b"plain", gzip.compress(b"plain"):
        path.write_bytes(data)
        assert list(read_lines(path, start=99)) == []
        with pytest.raises(TruncatedError, match="ends before byte 100"):
            reread(path, 99, 100)


def test_max_bytes_counts_what_comes_out(path: Path) -> None:
    path.write_bytes(gzip.compress(b"0123456789" * 10))
    exact = FileChunkIterator(path, 7, limits=Limits(max_bytes=100))
    assert b"".join(exact) == b"0123456789" * 10
    for limit in 99, 98, 1:
        out = bytearray()
        blocks = FileChunkIterator(path, 7, limits=Limits(max_bytes=limit))
        with pytest.raises(LimitError) as caught:
            out.extend(byte for block in blocks for byte in block)
        assert caught.value.offset == limit


def test_the_last_block_is_not_cut_in_silence(path: Path) -> None:
    path.write_bytes(b"x" * 100)
    blocks = FileChunkIterator(path, limits=Limits(max_bytes=99))
    assert next(blocks) == b"x" * 99
    with pytest.raises(LimitError, match="max_bytes=99"):
        next(blocks)
    assert b"".join(FileChunkIterator(path, limits=Limits(max_bytes=100))) == b"x" * 100


def test_blocks_and_their_batches_are_one_way_through_the_file(path: Path) -> None:
    path.write_bytes(b"0123456789")
    blocks = FileChunkIterator(path, 3)
    assert [next(blocks), *next(blocks.batches())] == [b"012", b"345"]
    assert [next(iter(blocks)), *blocks.batches()] == [b"678", (b"9",)]
    closed = FileChunkIterator(path, 3)
    next(closed.batches())
    closed.close()
    for again in closed.batches, closed.__iter__, closed.__next__:
        with pytest.raises(ValueError, match="is closed: make a new one"):
            again()


def test_a_file_that_vanishes_while_it_is_read_was_replaced(path: Path) -> None:
    path.write_bytes(b"x" * 200_000)
    blocks = FileChunkIterator(path)
    next(blocks)
    path.unlink()
    with pytest.raises(ChangedError, match="was replaced by another"):
        list(blocks)


def test_standard_input_from_a_file_may_grow_no_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"one\ntwo\n")
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert list(read_lines("-")) == ["one", "two"]


def test_wide_text_in_odd_places(path: Path) -> None:
    # The bytes of a line end between two units are none.
    path.write_bytes("\u0a01\u0100\nb".encode("utf-16-le"))
    assert list(read_lines(path, encoding="utf-16-le")) == ["\u0a01\u0100", "b"]
    # A piece of a long line that is no text is cut all the same, unit by unit.
    path.write_bytes(b"\x00\xdc" * 9 + "\nok".encode("utf-16-le"))
    report = ErrorReport()
    limits = Limits(max_record_bytes=6, on_oversize="split")
    lines = read_lines(path, encoding="utf-16-le", limits=limits, on_error=report)
    assert list(lines) == ["ok"]
    assert [error.offset for error in report.first] == [0, 6, 12]


def test_a_tilde_without_a_way_back_is_told(path: Path) -> None:
    path.write_bytes("日本".encode("euc_jp") + b"\x8f\xa2\xb7x")
    report = ErrorReport(replace=True)
    text = "".join(read_chunks(path, encoding="euc_jp", on_error=report))
    assert text == "日本\ufffdx"
    assert [error.offset for error in report.first] == [4]


def test_an_encoding_that_was_guessed_and_cannot_be_read_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalizer = pytest.importorskip("charset_normalizer", reason="needs [detect]")

    class Best:
        encoding = "utf_7"

        def best(self) -> Best:
            return self

    monkeypatch.setattr(normalizer, "from_bytes", lambda _: Best())
    path.write_bytes(b"caf\xe9")
    with pytest.raises(EncodingError, match="has no exact byte offsets"):
        next(read_chunks(path, encoding="detect"))


def test_replaced_json_is_still_checked(path: Path) -> None:
    path.write_bytes(
        b'{"text": "\xff"\n{"text": "\xff\\u0000"}\n' + b"[" * 2000 + b"\xff"
    )
    report = ErrorReport(replace=True)
    assert list(read_jsonl(path, on_error=report)) == [{"text": "\ufffd\ufffd"}]
    kinds = [(type(error).__name__, error.line) for error in report.first]
    assert kinds == [
        ("RecordEncodingError", 1),
        ("ParseError", 1),
        ("RecordEncodingError", 2),
        ("RecordEncodingError", 3),
        ("ParseError", 3),
    ]


def test_a_row_knows_its_lines_over_one_that_was_passed_over(path: Path) -> None:
    path.write_bytes(b'text\n"a\n' + b"x" * 99 + b'\nb\nc\n"d\n')
    report = ErrorReport()
    rows = read_csv(path, limits=Limits(max_record_bytes=50), on_error=report)
    found = [(each.text, each.start, each.line) for each in rows.records()]
    assert found == [("b", 108, 4), ("c", 110, 5)]
    first = report.first[0]
    assert (type(first), first.offset, first.line) == (OversizeError, 8, 3)


def test_what_cannot_be_read_again_ends_in_the_first_error() -> None:
    """A source that gives other bytes the second time has no exact good bytes."""
    packed = bytearray(gzip.compress(os.urandom(400_000)))
    packed[-6] ^= 0xFF

    for again in b"", b"\x1f\x8b\x08" + b"\xff" * 500:
        file = BytesIO(packed)

        def seek(offset: int, other: bytes = again) -> bool:
            nonlocal file
            file = BytesIO(other)
            file.seek(offset)
            return True

        codec = codec_of(bytes(packed[:10]), source="a", seekable=True)
        assert codec
        stream = MemberStream(
            "a",
            codec,
            lambda size: file.read(size),  # noqa: B023, PLW0108  # seek puts another there
            ahead=b"",
            limits=Limits(),
            seek=seek,
            seekable=True,
        )
        with pytest.raises(CorruptError):
            list(iter(partial(stream.read, 65_536), b""))


def test_a_disk_that_fails_is_told_with_the_good_bytes_before(path: Path) -> None:
    path.write_bytes(b"x" * 200_000)
    folder = os.open(path.parent, os.O_RDONLY)
    with FileChunkIterator(path) as blocks:
        assert next(blocks) == b"x" * 65_536
        assert blocks._bytes
        os.dup2(folder, blocks._bytes.file.fileno())  # reading it fails from here on
        with pytest.raises(OpenError, match=f"{path} at byte .*: is a directory"):
            list(blocks)
    os.close(folder)


def test_good_text_after_damage_is_decoded_in_larger_and_larger_windows(
    path: Path,
) -> None:
    path.write_bytes(b"\xff" + b"good " * 900 + b"\xffend")
    report = ErrorReport()
    pieces = list(read_chunks(path, on_error=report).records())
    assert "".join(piece.text for piece in pieces) == "good " * 900 + "end"
    assert [error.offset for error in report.first] == [0, 4501]
    assert 5 < len(pieces) < 9


def test_a_line_of_megabytes_is_one_value(path: Path) -> None:
    text = "[{" * 1_000_000
    path.write_text(f'{{"text": "{text}"}}\n{{"text": "b"}}\n')
    assert list(read_jsonl(path)) == [{"text": text}, {"text": "b"}]
    assert [record.line for record in read_jsonl(path).records()] == [1, 2]


def test_rows_have_the_names_of_a_header_that_stands_before_the_start(
    path: Path,
) -> None:
    path.write_bytes(b"\n\nid,text\n1,a\n2,b\n")
    first, second = read_csv(path).records()
    assert list(read_csv(path, start=first.end)) == [{"id": "2", "text": "b"}]
    assert list(read_csv(path, start=second.end)) == []
    path.write_bytes(b"\n" * 9)
    assert list(read_csv(path, start=5)) == []


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.text("aé日👋\r ", max_size=9), max_size=30),
    size=st.one_of(st.integers(1, 9), st.sampled_from([4096, 1 << 16, 1 << 22])),
    pack=st.sampled_from([bytes, gzip.compress, bz2.compress]),
)
def test_no_reader_depends_on_its_blocks(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    size: int,
    pack: Callable[[bytes], bytes],
) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks.txt"
    text = "\n".join(lines)
    path.write_bytes(pack(text.encode()))
    assert b"".join(FileChunkIterator(path, size)) == text.encode()
    assert "".join(read_chunks(path, size)) == text
    records = list(read_lines(path).records())
    assert list(read_lines(path, size)) == [record.text for record in records]
    end = 0
    for record in records:
        assert reread(path, record.start, record.end).decode() == record.text
        between = reread(path, end, record.start)
        assert between in {b"", b"\n", b"\r\n"}
        end = record.end


@pytest.mark.parametrize("named", ["html", "pdf", "parquet"])
def test_a_start_is_nothing_to_formats_without_places(
    named: Format, tmp_path: Path
) -> None:
    assert open_records(tmp_path / "any", format=named, start=5).start is None


def test_a_document_is_read_from_its_beginning_whatever_the_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.html").write_text("<p>its first words and its last</p>")
    (whole,) = open_records(tmp_path / "a.html", start=12)
    assert whole.text == "its first words and its last"
