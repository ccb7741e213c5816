"""A record that is too long: reported, passed over, cut, or given in parts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import (
    ErrorReport,
    Limits,
    OversizeError,
    ReadError,
    open_records,
    read_csv,
    read_html,
    read_jsonl,
    read_lines,
    read_pdf,
    reread,
)
from aip_readers._types import OnOversize

LONG = "é" * 50_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "long.txt"
    path.write_text(f"a\n{LONG}\nb\n{'x' * 300}\n{LONG}")
    return path


def limits(policy: OnOversize, size: int = 1001) -> Limits:
    return Limits(max_record_bytes=size, on_oversize=policy)


def test_error_says_where_and_goes_on(path: Path) -> None:
    errors: list[ReadError] = []
    lines = list(read_lines(path, limits=limits("error"), on_error=errors.append))
    assert lines == ["a", "b", "x" * 300]
    assert [(type(e), e.offset, e.line) for e in errors] == [
        (OversizeError, 2, 2),
        (OversizeError, 100_306, 5),
    ]
    with pytest.raises(OversizeError, match="max_record_bytes=1001"):
        list(read_lines(path, limits=limits("error")))


def test_skip_is_silent(path: Path) -> None:
    assert list(read_lines(path, limits=limits("skip"))) == ["a", "b", "x" * 300]


def test_truncate_cuts_between_code_points(path: Path) -> None:
    lines = list(read_lines(path, limits=limits("truncate")))
    assert lines == ["a", "é" * 500, "b", "x" * 300, "é" * 500]


def test_split_gives_everything_in_parts(path: Path) -> None:
    lines = list(read_lines(path, limits=limits("split")))
    assert "".join(lines) == f"a{LONG}b{'x' * 300}{LONG}"
    assert max(len(line.encode()) for line in lines) <= 1001


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(st.text("aé日👋 ", max_size=30), max_size=12),
    size=st.integers(4, 40),
    policy=st.sampled_from(["error", "skip", "truncate", "split"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_spans_hold_under_every_policy(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    size: int,
    policy: OnOversize,
    ending: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "policy.txt"
    path.write_bytes(ending.join(lines).encode())
    last = 0
    reader = read_lines(path, limits=limits(policy, size), on_error=lambda _: None)
    for record in reader.records():
        assert reread(path, record.start, record.end).decode() == record.text
        assert len(record.text.encode()) <= size
        assert record.start >= last
        last = record.end
        whole = lines[record.line - 1]
        assert record.text in whole


@pytest.mark.parametrize("policy", ["truncate", "split"])
def test_formats_with_structure_cannot_be_cut(path: Path, policy: OnOversize) -> None:
    for reader in (
        read_jsonl(path, limits=limits(policy)),
        read_csv(path, limits=limits(policy)),
    ):
        with pytest.raises(ValueError, match="takes records whole"):
            next(reader)


def test_an_open_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    rows = "".join(f"{n},text {n}\n" for n in range(100))
    path.write_text(f'id,text\n0,"never closed\n{rows}')
    errors: list[ReadError] = []
    records = list(
        open_records(path, limits=Limits(max_record_bytes=200), on_error=errors.append)
    )
    assert [record.text for record in records] == [f"text {n}" for n in range(100)]
    assert isinstance(errors[0], OversizeError)
    assert errors[0].line == 2


def test_a_large_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text("<p>word " * 1000)
    with pytest.raises(OversizeError):
        list(read_html(path, limits=limits("error")))
    assert list(read_html(path, limits=limits("error"), on_error="skip")) == []


def test_rows_and_documents_are_skipped_in_silence_too(tmp_path: Path) -> None:
    path = tmp_path / "long"
    silent = limits("skip", 50)
    path.write_text('id,text\n1,"a,b\n' + "c,d\n" * 20 + '"\n2,e\n')
    report = ErrorReport()
    rows = open_records(path, format="csv", limits=silent, on_error=report)
    assert [row.text for row in rows] == ["d"] * 20 + ["e"]
    assert report.kinds == {"ParseError": 1}  # the quote alone in its line
    path.write_text("<p>word " * 10)
    assert list(read_html(path, limits=silent)) == []
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path.write_bytes(b"%PDF-1.4" + bytes(50))
    assert list(read_pdf(path, limits=silent)) == []


def test_refuses_an_unknown_policy() -> None:
    with pytest.raises(ValueError, match="on_oversize must be one of"):
        Limits(on_oversize="drop")  # type: ignore[arg-type]  # what a caller may write


@pytest.mark.parametrize("policy", ["error", "skip", "truncate", "split"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be", "gbk"])
@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 64])
def test_a_line_end_is_no_part_of_what_is_too_long(
    tmp_path: Path, policy: OnOversize, encoding: str, block: int
) -> None:
    path = tmp_path / "ends.txt"
    path.write_bytes("abc\r\ndef\nabc\r\n\r\nabc\r".encode(encoding))
    unit = len("a".encode(encoding))
    errors: list[ReadError] = []
    reader = read_lines(
        path,
        block,
        limits=limits(policy, 3 * unit),
        encoding=encoding,
        on_error=errors.append,
    )
    # What no line end follows is the line's own.
    last = {"truncate": ["abc"], "split": ["abc", "\r"]}.get(policy, [])
    assert list(reader) == ["abc", "def", "abc", "", *last]
    assert [error.line for error in errors] == ([5] if policy == "error" else [])


@settings(max_examples=80, deadline=None)
@given(
    text=st.text("aé\r\n", max_size=60),
    size=st.integers(4, 9),
    policy=st.sampled_from(["error", "skip", "truncate", "split"]),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "gbk"]),
)
def test_a_cursor_goes_on_after_what_is_left_of_a_long_line(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    size: int,
    policy: OnOversize,
    encoding: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "goes-on.txt"
    path.write_bytes(text.encode(encoding))
    read = partial(
        open_records,
        path,
        format="lines",
        limits=limits(policy, size),
        encoding=encoding,
        on_error="skip",
    )
    with read() as records:
        whole = list(records)
        cursors = list(map(records.cursor, whole))
    for at, cursor in enumerate(cursors):
        assert list(read(cursor=cursor)) == whole[at + 1 :]


@pytest.mark.parametrize("policy", ["error", "skip", "truncate", "split"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-be", "gbk"])
def test_wide_lines_do_not_depend_on_blocks(
    tmp_path: Path, policy: OnOversize, encoding: str
) -> None:
    path = tmp_path / "wide.txt"
    text = "a\r\nbcd\n日日日\n日日日日\n\n日a日a日a日a\nend of it"
    path.write_bytes(text.encode(encoding))
    for size in 6, 7, 8, 12, 16:
        results = []
        for block in 1, 2, 3, 5, 7, 64:
            report = ErrorReport()
            reader = read_lines(
                path,
                block,
                limits=limits(policy, size),
                encoding=encoding,
                on_error=report,
            )
            results.append((list(reader), str(report)))
        assert results == [results[0]] * 6
        bound = limits(policy, size)
        reader = read_lines(path, limits=bound, encoding=encoding, on_error="skip")
        for record in reader.records():
            raw = reread(path, record.start, record.end)
            assert raw.decode(encoding) == record.text
            assert len(raw) <= size
        if policy == "split":
            assert "".join(results[0][0]) == text.replace("\r", "").replace("\n", "")
