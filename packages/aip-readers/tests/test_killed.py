"""Killed with -9 at random moments, three times, and gone on with: the same output."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aip_readers import open_records, read_lines

# Copies texts to a file; every 40 records it notes, in one step, how far it has come.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from aip_readers import open_records

source, out, note, kind = sys.argv[1:]
noted = json.loads(Path(note).read_text()) if Path(note).exists() else {}
with open(out, "r+b") as copy, open_records(
    source, format=kind, cursor=noted.get("cursor")
) as records:
    copy.truncate(noted.get("size", 0))
    copy.seek(0, 2)
    for number, record in enumerate(records, 1):
        copy.write(record.text.encode() + b"\\n")
        if number % 40 == 0:
            copy.flush()
            told = {"cursor": records.cursor(record), "size": copy.tell()}
            Path(note + ".new").write_text(json.dumps(told))
            os.replace(note + ".new", note)
            time.sleep(0.001)
"""
LINES = b"".join(b'{"text": "line %d \xc3\xa9"}\n' % n for n in range(6000))


def plain(data: bytes) -> bytes:
    return data


def members(data: bytes) -> bytes:
    parts = [data[at : at + 9_973] for at in range(0, len(data), 9_973)]
    return b"".join(map(gzip.compress, parts))


def frames(data: bytes) -> bytes:
    zstd = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
    parts = [data[at : at + 9_973] for at in range(0, len(data), 9_973)]
    return b"".join(map(zstd.compress, parts))


@pytest.mark.parametrize("kind", ["jsonl", "lines"])
@pytest.mark.parametrize("pack", [plain, members, frames])
def test_three_kills_make_no_difference(
    tmp_path: Path, pack: Callable[[bytes], bytes], kind: str
) -> None:
    source, out, note = (tmp_path / name for name in ("source", "out", "note"))
    source.write_bytes(pack(LINES))
    out.touch()
    command = [sys.executable, "-c", PROGRAM, *map(str, (source, out, note)), kind]
    seeded = random.Random(f"{pack.__name__} {kind}")
    kills, sizes = 0, [0]
    while kills < 3:
        before = note.read_bytes() if note.exists() else b""
        with subprocess.Popen(command) as process:
            while process.poll() is None and (
                not note.exists() or note.read_bytes() == before
            ):
                time.sleep(0.001)
            time.sleep(seeded.random() * 0.02)
            process.kill()
        assert process.returncode == -signal.SIGKILL, "it had no time to finish"
        sizes.append(json.loads(note.read_text())["size"])
        kills += 1
    assert sizes == sorted(set(sizes))
    assert len(json.dumps(json.loads(note.read_text())["cursor"])) < 300
    subprocess.run(command, check=True)
    with open_records(source, format=kind) as records:  # type: ignore[arg-type]  # one of the formats
        expected = "".join(record.text + "\n" for record in records)
    assert out.read_text() == expected


def test_going_on_near_the_end_of_ten_gigabytes_takes_milliseconds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(b"first\nsecond\n")
    size = 10 * 2**30
    os.truncate(path, size)
    with path.open("r+b") as file:
        file.seek(size - 20)
        file.write(b"\nlast but one\nlast\n\n")
    with open_records(path, format="lines") as records:
        first = next(records)
        cursor = records.cursor(first._replace(end=size - 6, line=2))

    def go_on() -> object:
        return next(open_records(path, format="lines", cursor=cursor))

    best = min(_seconds(go_on) for _ in range(5))
    assert best < 0.005
    with open_records(path, format="lines", cursor=cursor) as records:
        assert [record.text for record in records] == ["last", ""]
    with read_lines(path, start=size - 20) as lines:
        assert list(lines) == ["last but one", "last", ""]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
