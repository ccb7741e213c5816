"""CSV, HTML, PDF and Parquet."""

from __future__ import annotations

import csv
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import (
    CorruptError,
    FieldError,
    Limits,
    MissingExtraError,
    OversizeError,
    ParseError,
    ReadError,
    RecordEncodingError,
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
    with pytest.raises(type(error)):
        list(read())


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


def make_pdf(*texts: str) -> bytes:
    """Write the smallest PDF that has these pages."""
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(texts)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(texts)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for at, text in enumerate(texts):
        stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
        font = "/Resources<</Font<</F1 3 0 R>>>>"
        page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]{font}"
        objects.append(f"{page}/Contents {5 + 2 * at} 0 R>>")
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    tail += f"trailer<</Size {size}/Root 1 0 R>>\n"
    return out + f"{tail}startxref\n{len(out)}\n%%EOF".encode()


def test_pdf_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path = tmp_path / "two.pdf"
    path.write_bytes(make_pdf("Page one", "Page two"))
    assert list(read_pdf(path)) == ["Page one", "Page two"]
    records = list(open_records(path))
    assert [(r.key, r.metadata["page"]) for r in records] == [("1", 1), ("2", 2)]
    assert records[0].end == path.stat().st_size


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4 nonsense", b"\xff" * 2000])
def test_what_is_no_pdf_is_one_error(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="not a PDF"):
        list(read_pdf(path))


def test_a_large_pdf_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path = tmp_path / "large.pdf"
    path.write_bytes(make_pdf("Page one"))
    with pytest.raises(OversizeError):
        list(read_pdf(path, limits=Limits(max_record_bytes=100)))


def test_parquet_rows_know_their_row_group(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "data.parquet"
    table = pa.table({"id": [1, 2, 3], "text": ["a", "b\0", None]})
    parquet.write_table(table, path, row_group_size=2)
    rows = list(read_parquet(path, on_error="replace"))
    assert [row["text"] for row in rows] == ["a", "b\ufffd", None]
    with pytest.raises(RecordEncodingError, match="row 2 holds NULs"):
        list(read_parquet(path))
    errors: list[ReadError] = []
    records = list(open_records(path, id_field="id", on_error=errors.append))
    assert [(r.key, r.text, r.line) for r in records] == [("1", "a", 1)]
    assert 4 <= records[0].start < records[0].end < path.stat().st_size
    assert [type(error) for error in errors] == [RecordEncodingError, FieldError]
    errors.clear()
    assert list(open_records(path, text_field="body", on_error=errors.append)) == []
    assert [str(error).partition(": ")[2] for error in errors] == [
        "the table has no column 'body'; it has 'id', 'text'"
    ]
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(CorruptError, match="not Parquet"):
        list(read_parquet(path))


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
