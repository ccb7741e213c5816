"""A cursor goes on exactly, from JSON, and refuses a changed file."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from aip_readers import ChangedError, FileChunkIterator, open_records, read_lines


def members(data: bytes) -> bytes:
    third = len(data) // 3
    parts = data[:third], data[third : 2 * third], data[2 * third :]
    return b"".join(gzip.compress(part) for part in parts)


def zstd_frames(data: bytes) -> bytes:
    zstd = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
    half = len(data) // 2
    return bytes(zstd.compress(data[:half]) + zstd.compress(data[half:]))


def plain(data: bytes) -> bytes:
    return data


LINES = b"".join(
    b'{"text": "line %d \xc3\xa9", "n": %d}\r\n' % (n, n) for n in range(4000)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


PACKS = pytest.mark.parametrize("pack", [plain, members, zstd_frames, lzma.compress])


@PACKS
@pytest.mark.parametrize("kind", ["jsonl", "lines", "text"])
def test_three_stops_make_no_difference(
    tmp_path: Path, pack: Callable[[bytes], bytes], kind: Any
) -> None:
    path = tmp_path / "data"
    path.write_bytes(pack(LINES))
    whole = list(open_records(path, format=kind))
    seen: list[Any] = []
    cursor = None
    for part in (1, len(whole) // 3, len(whole) // 2):
        with open_records(path, format=kind, cursor=cursor) as records:
            for _ in range(max(1, part)):
                record = next(records, None)
                if record is None:
                    break
                seen.append(record)
                told = json.dumps(records.cursor(record))
                assert len(told) < 300
                cursor = json.loads(told)
    seen.extend(open_records(path, format=kind, cursor=cursor))
    if kind == "text":
        assert "".join(r.text for r in seen) == "".join(r.text for r in whole)
    else:
        assert seen == whole


def test_goes_on_from_the_last_member(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(members(LINES))
    with open_records(path) as records:
        *_, last = records
        cursor = records.cursor(last)
    assert cursor["packed"] > path.stat().st_size // 2
    assert cursor["unpacked"] > len(LINES) // 2


@pytest.mark.parametrize("change", ["grown", "shrunk", "rewritten", "touched"])
def test_refuses_a_changed_file(tmp_path: Path, change: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(LINES)
    with open_records(path) as records:
        cursor = records.cursor(next(records))
    if change == "grown":
        path.write_bytes(LINES + LINES)
    elif change == "shrunk":
        path.write_bytes(LINES[:-50])
    elif change == "rewritten":
        path.write_bytes(LINES.replace(b"line", b"LINE"))
    else:
        os.utime(path, ns=(1, 1))
    with pytest.raises(ChangedError, match="changed since the cursor was made"):
        next(open_records(path, cursor=cursor))


def test_a_changed_archive_is_refused_before_its_old_places_are_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(members(LINES))
    with open_records(path) as records:
        *_, last = records
        cursor = records.cursor(last)
    assert cursor["packed"]
    path.write_bytes(gzip.compress(LINES[::-1]))
    with pytest.raises(ChangedError, match="changed since the cursor was made"):
        next(open_records(path, cursor=cursor))


def test_a_start_beside_a_cursor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(LINES)
    with open_records(path) as records:
        cursor = records.cursor(next(records))
    with pytest.raises(ValueError, match="exclude each other"):
        open_records(path, cursor=cursor, start=3)


def bytewise(data: bytes) -> bytes:
    """Pack each byte in a member of its own, so that each block ends after one."""
    return b"".join(gzip.compress(data[at : at + 1]) for at in range(len(data)))


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.text("aé\r ", max_size=5), max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gbk"]),
    pack=st.sampled_from([plain, bytewise]),
)
def test_going_on_from_any_record_is_one_pass(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    end: str,
    encoding: str,
    pack: Callable[[bytes], bytes],
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(pack(end.join(lines).encode(encoding, "replace")))
    read = partial(open_records, path, format="lines", encoding=encoding)
    with read() as records:
        whole = list(records)
        cursors = list(map(records.cursor, whole))
    for at, record in enumerate(whole):
        rest = whole[at + 1 :]
        assert list(read(start=record.end, start_line=record.line)) == rest
        assert list(read(cursor=cursors[at])) == rest


def test_a_member_may_end_within_a_line_end(path: Path) -> None:
    path.write_bytes(gzip.compress(b"a\r") + gzip.compress(b"\nb"))
    with open_records(path, format="lines") as records:
        first, second = records
    assert list(open_records(path, format="lines", start=first.end)) == [second]


def test_a_start_of_0_goes_on_after_an_empty_first_line(path: Path) -> None:
    path.write_bytes(b"\nb\n")
    assert list(read_lines(path)) == ["", "b"]
    assert list(read_lines(path, start=0)) == ["b"]
    # There is none where a mark stands before the first line.
    path.write_bytes(b"\xef\xbb\xbf\nb\n")
    assert list(read_lines(path, start=0)) == ["", "b"]
    assert list(read_lines(path, start=3)) == ["b"]


@pytest.mark.parametrize("change", ["grow", "shrink", "replace", "touch"])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, change: str
) -> None:
    path = tmp_path / "live.log"
    path.write_bytes(b"x" * 200_000)
    blocks = FileChunkIterator(path)
    next(blocks)
    if change == "grow":
        with path.open("ab") as file:
            file.write(b"more")
    elif change == "shrink":
        os.truncate(path, 100_000)
    elif change == "replace":
        other = path.with_name("other")
        other.write_bytes(b"y" * 200_000)
        other.replace(path)
    else:
        os.utime(path, ns=(1, 1))
    with pytest.raises(ChangedError, match="while it was read"):
        list(blocks)
