"""PDF by page and Parquet by row: limits, damage, and going on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aip_readers import (
    ChangedError,
    CorruptError,
    ErrorReport,
    FieldError,
    Limits,
    OversizeError,
    ParseError,
    ReadError,
    RecordEncodingError,
    open_records,
    read_parquet,
    read_pdf,
)


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
    return pdf_of(objects)


def pdf_of(objects: list[str]) -> bytes:
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


def test_a_large_pdf_is_skipped_with_its_pages(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path = tmp_path / "large.pdf"
    path.write_bytes(make_pdf("Page one"))
    limits = Limits(max_record_bytes=100)
    assert list(read_pdf(path, limits=limits, on_error="skip")) == []


# One letter of this font is half a surrogate pair.
HALF = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /X def /CMapType 2 def
1 begincodespacerange <00> <FF> endcodespacerange
1 beginbfchar <41> <D800> endbfchar
endcmap end end"""


def test_bad_pages_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Resources<</Font"
    show = ["BT /F1 12 Tf 20 100 Td (xAy) Tj ET", "BT /F1 12 Tf 20 100 Td (xy) Tj ET"]
    streams = [f"<</Length {len(s)}>>stream\n{s}\nendstream" for s in (*show, HALF)]
    path = tmp_path / "bad.pdf"
    path.write_bytes(
        pdf_of(
            [
                "<</Type/Catalog/Pages 2 0 R>>",
                "<</Type/Pages/Count 3/Kids[4 0 R 5 0 R 6 0 R]>>",
                "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 9 0 R>>",
                f"{page}<</F1 3 0 R>>>>/Contents 7 0 R>>",
                "<</Type/Nothing>>",
                f"{page}<</F1 3 0 R>>>>/Contents 8 0 R>>",
                *streams,
            ]
        )
    )
    report = ErrorReport()
    assert list(read_pdf(path, on_error=report)) == ["xy"]
    assert [(type(e), e.reason.partition(":")[0]) for e in report.first] == [
        (RecordEncodingError, "page 1 holds characters that are not text"),
        (ParseError, "page 2 cannot be read"),
    ]
    replaced = open_records(path, on_error=ErrorReport(replace=True))
    assert [(r.key, r.text) for r in replaced] == [("1", "x\ufffdy"), ("3", "xy")]


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


def test_parquet_text_that_is_no_utf_8_is_a_bad_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "bad.parquet"
    bad = pa.array([b"a", b"b\xff", b"c"]).view(pa.string())
    tags = pa.ListArray.from_arrays([0, 1, 2, 3], bad)
    rows = [("good", "x\0"), ("text", bad), ("tags", tags)]
    read = partial(read_parquet, path)
    for name, column in rows:
        values = [column, "y", "z"] if isinstance(column, str) else column
        parquet.write_table(pa.table({"n": [1, 2, 3], name: values}), path)
        report = ErrorReport(replace=True)
        found = list(read(on_error=report))
        (error,) = report.first
        assert isinstance(error, RecordEncodingError)
        at = 0 if name == "good" else 1
        assert error.line == at + 1
        if name == "tags":  # within a list, nobody says where
            assert [row["n"] for row in found] == [1, 3]
        else:
            assert [row["n"] for row in found] == [1, 2, 3]
            assert found[at][name][1:] == "\ufffd"
        assert [row["n"] for row in read(on_error="skip")] == (
            [2, 3] if name == "good" else [1, 3]
        )


def test_lists_in_parquet_are_rid_of_nuls(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "nul.parquet"
    parquet.write_table(pa.table({"tags": [["a", "b\0"]]}), path)
    assert list(read_parquet(path, on_error="replace")) == [{"tags": ["a", "b\ufffd"]}]


def test_a_row_group_that_would_swell_is_passed_over_and_counted(
    tmp_path: Path,
) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "bomb.parquet"
    texts = ["a", "b", "x" * 3_000_000, "y", "c"]
    table = pa.table({"id": [1, None, 3, 4, 5], "text": texts})
    parquet.write_table(table, path, row_group_size=2, use_dictionary=False)
    errors: list[ReadError] = []
    limits = Limits(max_ratio=3)
    records = read_parquet(path, limits=limits, on_error=errors.append)
    found = list(records.records(id_field="id"))
    assert [(r.key, r.text, r.line) for r in found] == [("1", "a", 1), ("5", "c", 5)]
    assert [type(error) for error in errors] == [FieldError, OversizeError]
    assert "max_ratio=3" in errors[1].reason


def test_a_row_of_parquet_that_is_too_long_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "long.parquet"
    texts = ["a", "é" * 500, "b", "é" * 501, "c"]
    tags = [["x"], [], ["y" * 999, "zz"], None, ["y" * 999]]
    raw = [b"", b"", b"", b"", b"z"]
    parquet.write_table(pa.table({"text": texts, "tags": tags, "raw": raw}), path)
    limits = Limits(max_record_bytes=1001)
    report = ErrorReport()
    found = list(read_parquet(path, limits=limits, on_error=report))
    assert [row["text"] for row in found] == ["a", "é" * 500, "c"]
    assert [(type(error), error.line) for error in report.first] == [
        (OversizeError, 3),
        (OversizeError, 4),
    ]
    with pytest.raises(OversizeError, match="row 3 holds more than max_record_bytes"):
        list(open_records(path, limits=limits))
    silent = Limits(max_record_bytes=1001, on_oversize="skip")
    assert list(read_parquet(path, limits=silent)) == found


def parquet_file(path: Path) -> Path:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"text": [f"row {n}" for n in range(7)]})
    parquet.write_table(table, path, row_group_size=3)
    return path


def pdf_file(path: Path) -> Path:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    path.write_bytes(make_pdf("one", "two", "three"))
    return path


def html_file(path: Path) -> Path:
    path.write_text("<p>one")
    return path


@pytest.mark.parametrize("make", [parquet_file, pdf_file, html_file])
def test_a_cursor_goes_on_after_a_row_a_page_a_document(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    kind = make.__name__.removesuffix("_file")
    path = make(tmp_path / f"data.{kind}")
    with open_records(path) as records:
        whole = list(records)
        told = [json.dumps(records.cursor(record)) for record in whole]
    assert len(whole) == {"parquet": 7, "pdf": 3, "html": 1}[kind]
    for at, cursor in enumerate(told):
        assert len(cursor) < 300
        rest = open_records(path, cursor=json.loads(cursor))
        assert list(rest) == whole[at + 1 :]
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ChangedError, match="changed since the cursor was made"):
        next(open_records(path, cursor=json.loads(told[0])))


def test_parquet_behind_a_url_is_read_from_the_file_that_is_open(
    tmp_path: Path,
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    data = parquet_file(tmp_path / "data.parquet").read_bytes()
    with fsspec.open("memory://aip/data.parquet", "wb") as file:
        file.write(data)
    try:
        assert len(list(open_records("memory://aip/data.parquet"))) == 7
    finally:
        fsspec.filesystem("memory").store.clear()


def test_parquet_from_a_pipe_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    reading, writing = os.pipe()
    os.write(writing, b"PAR1" * 99)
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(CorruptError, match="not Parquet that can be read"):
            list(read_parquet("-"))
