"""CSV and HTML, and what all formats share."""

from __future__ import annotations

import csv
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import (
    FieldError,
    Limits,
    MissingExtraError,
    ParseError,
    ReadError,
    open_records,
    read_csv,
    read_html,
    read_parquet,
    read_pdf,
    reread,
    split,
)

CELLS = st.text('ab",\n é\r', max_size=8).filter(lambda cell: "\r" not in cell)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=8))
def test_csv_rows_have_the_exact_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "text"), *rows])
    raw = path.read_bytes()
    records = list(read_csv(path).records())
    assert [(r.metadata["id"], r.text) for r in records] == rows
    for record in records:
        named = reread(path, record.start, record.end).decode()
        assert next(csv.reader(named.splitlines(keepends=True))) == [
            record.metadata["id"],
            record.text,
        ]
        assert record.line == raw[: record.start].count(b"\n") + 1
    for at, record in enumerate(records):
        rest = open_records(path, start=record.end, start_line=record.line)
        assert [r.text for r in rest] == [text for _, text in rows[at + 1 :]]


def test_bad_csv_rows_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b'id,text\n1,one\n2\n"3"x,bad\n4,four\n5,\xff\n6,six\n7,"open\n')
    errors: list[ReadError] = []
    rows = list(read_csv(path, on_error=errors.append))
    assert [row["text"] for row in rows] == ["one", "four", "six"]
    assert [error.line for error in errors] == [3, 4, 6, 8]
    assert isinstance(errors[0], ParseError)
    assert "has 1 fields, the header 2" in errors[0].reason


def test_csv_without_the_column_says_which_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("id,body\n1,x\n")
    with pytest.raises(FieldError, match="no column 'text'; it has 'id', 'body'"):
        next(open_records(path))
    records = list(open_records(path, text_field="body", id_field="id"))
    assert [(r.key, r.text) for r in records] == [("1", "x")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"A text, as it is.\n" * 50,
            "no column 'text'; it has 'A text', ' as it is.'",
        ),
        (b"x" * 999 + b"\n1\n", f"no column 'text'; it has '{'x' * 40}'"),
        (b"text\n" * 50, "no column 'id'; it has 'text'"),
        (b"\n" * 9 + b"id,body\n" * 50, "no column 'text'; it has 'id', 'body'"),
        (b'id,"text\n' + b"1,x\n" * 50, "the header cannot be read: this row is not"),
        (b"%PDF-1.7\0\n" * 50, "the header cannot be read: NUL is not text"),
        (b"x" * 5000 + b"\nid,text\n1,a\n", "the header cannot be read: the record"),
    ],
)
def test_a_file_that_is_no_csv_is_one_error_about_its_header(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "no.csv"
    path.write_bytes(data)
    limits = Limits(max_record_bytes=4000)
    read = partial(open_records, path, id_field="id", limits=limits)
    errors: list[ReadError] = []
    assert list(read(on_error=errors.append)) == []
    (error,) = errors
    assert reason in error.reason
    assert error.line == data[: error.offset].count(b"\n") + 1
    assert list(read(on_error="skip")) == []
    with pytest.raises(type(error)) as raised:
        list(read())
    assert str(raised.value) == str(error)


def test_a_replaced_byte_in_a_header_leaves_it_one(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"text,\xff\na,b\n")
    assert list(read_csv(path, on_error="replace")) == [{"text": "a", "\ufffd": "b"}]


def test_tsv_is_split_at_tabs(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("id\ttext\n1\ta,b\n")
    assert [record.text for record in open_records(path)] == ["a,b"]


def test_large_csv_fields_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("text\n" + '"' + "x" * 400_000 + '"\n')
    assert len(next(open_records(path)).text) == 400_000


HTML = """<!DOCTYPE html><html><head><title> A &amp; B </title>
<style>p {color: red}</style></head><body><h1>Head</h1><p>One
<b>bold</b> word.<br>Next&nbsp;line</p><script>var x = "<p>no</p>";</script>
<ul><li>first<li>second</ul><pre>a
  b</pre><table><tr><td>1</td><td>2</td></tr></table></body></html>"""
EXPECTED = "Head\n\nOne bold word.\nNext line\n\nfirst\nsecond\n\na\nb\n\n1 2"


@pytest.mark.parametrize("parser", ["selectolax", "standard library"])
def test_html_is_the_text_a_reader_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    if parser == "selectolax":
        pytest.importorskip("selectolax", reason="needs the extra html")
    else:
        monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    path = tmp_path / "page.html"
    path.write_text(HTML)
    (text,) = read_html(path)
    assert "\n".join(line.strip() for line in text.split("\n") if line.strip()) == (
        EXPECTED.replace("\n\n", "\n")
    )
    (record,) = open_records(path)
    assert record.metadata == {"title": "A & B"}
    assert (record.start, record.end) == (0, len(HTML.encode()))
    chunk = next(split([record]))
    assert chunk.within == (0, len(record.text))


@pytest.mark.parametrize("parser", ["selectolax", "standard library"])
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a<?php b ?>c", "ac"),
        ("a<![CDATA[b]]>c<![", "ac"),
        ("a<!-- b", "a"),
        ("<p>a<p title='>'>b", "a\n\nb"),
        ("<div>" * 20_000 + "deep", "deep"),
        ("<a href='" * 20_000, ""),
        ("1<" * 20_000, "1<" * 20_000),
        ("<textarea><b></textarea>c", "<b>c"),
        ("<head><title>t</title><p>a<title>b</title>", "a\n\nb"),
        ("<svg><g>a</g></svg>b", "b"),
        ("<script></script>a", "a"),
        ("<br>" * 2001 + "a", "a"),
        ("", ""),
    ],
)
def test_odd_html_is_read_in_linear_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parser: str,
    html: str,
    text: str,
) -> None:
    if parser == "selectolax":
        pytest.importorskip("selectolax", reason="needs the extra html")
    else:
        monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    path = tmp_path / "odd.html"
    path.write_text(html)
    begun = time.process_time()
    assert list(read_html(path)) == [text]
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("read", "module", "extra"),
    [(read_pdf, "pypdfium2", "pdf"), (read_parquet, "pyarrow", "parquet")],
)
def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: type, module: str, extra: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"aip-readers\[{extra}\]"):
        next(read(path))


def test_refuses_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format must be one of auto, text"):
        open_records(tmp_path, format="docx")  # type: ignore[arg-type]  # a caller may
