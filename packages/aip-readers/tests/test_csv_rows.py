"""CSV rows are given exactly or not at all, and gone on from in the right line."""

from __future__ import annotations

import csv
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import ErrorReport, Limits, open_records, read_csv, reread
from aip_readers._types import OnOversize

QUOTED = st.text('a,é\r\n"', max_size=8).map(
    lambda text: '"' + text.replace('"', '""') + '"'
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(QUOTED, QUOTED), max_size=5),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "gb18030"]),
)
def test_quoted_line_ends_stay_as_they_are_and_are_counted(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    end: str,
    encoding: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    text = end.join(["text,other", *map(",".join, rows)])
    path.write_bytes(text.encode(encoding))
    assert list(read_csv(path, encoding=encoding)) == list(
        csv.DictReader(StringIO(text, newline=""))
    )
    read = partial(open_records, path, encoding=encoding)
    with read() as records:
        whole = list(records)
        cursors = list(map(records.cursor, whole))
    for at, record in enumerate(whole):
        assert list(read(cursor=cursors[at])) == whole[at + 1 :]
        raw = reread(path, record.start, record.end).decode(encoding)
        assert next(csv.reader([raw])) == [record.text, record.metadata["other"]]
        before = reread(path, 0, record.start).decode(encoding)
        assert record.line == before.count("\n") + 1


def test_a_cursor_counts_the_lines_of_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'text,other\r\n"a\r\nb","\n"\r\nc,\r\n')
    with open_records(path) as records:
        first, second = records
        cursor = records.cursor(first)
    assert (first.text, first.metadata, second.line) == ("a\r\nb", {"other": "\n"}, 5)
    assert list(open_records(path, cursor=cursor)) == [second]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16-le"])
@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_row_of_which_a_line_is_passed_over_is_no_row(
    tmp_path: Path, encoding: str, policy: OnOversize
) -> None:
    path = tmp_path / "hole.csv"
    text = f'id,text\n1,"a\n{"x" * 200}\nb"\n2,c\n'
    path.write_bytes(text.encode(encoding))
    limits = Limits(max_record_bytes=150, on_oversize=policy)
    report = ErrorReport()
    read = partial(open_records, path, encoding=encoding, on_error=report)
    assert [record.text for record in read(limits=limits)] == ["c"]
    assert [error.line for error in report.first] == [3, 4][policy == "skip" :]
    bad = {"utf-8": b"\xff", "cp1252": b"\x81", "utf-16-le": b"\x00\xd8"}[encoding]
    good = ("x" * 200).encode(encoding)
    path.write_bytes(text.encode(encoding).replace(good, bad))
    assert [record.text for record in read()] == ["c"]


def test_a_name_that_comes_twice_hides_no_column(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("id,text,text\n1,first,second\n")
    assert list(read_csv(path)) == [{"id": "1", "text": "first", "text_2": "second"}]
    record = next(open_records(path, format="csv"))
    assert (record.text, record.metadata) == ("first", {"id": "1", "text_2": "second"})
