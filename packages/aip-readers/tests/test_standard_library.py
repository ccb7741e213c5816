"""Without the extras that only make it faster, the results and errors are the same."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from aip_readers import FileChunkIterator, ReadError, open_records, read_jsonl

GOOD = b'{"text": "a", "n": [1, 2.5, null, "\\u00e9"]}\n{"text": "b", "n": {}}\n'
WRONG = {
    "good": GOOD,
    "cut": GOOD + b'{"text": "c"\n' + GOOD,
    "two values": GOOD + b'{"text": "c"} 2\n' + GOOD,
    "bad byte": GOOD + b'{"text": "\xff"}\n' + GOOD,
    "bad escape": GOOD + b'{"text": "\\u0000"}\n' + GOOD,
    "deep": GOOD + b"[" * 600 + b"]" * 600 + b"\n" + GOOD,
    "many lists, none of them deep": b"[" + b"[]," * 900 + b'"\\\\u0000"]\n' + GOOD,
    "blank lines": b"\n \n" + GOOD + b"\n",
}


def told(reader: Callable[..., Iterable[object]], path: Path) -> tuple[object, ...]:
    errors: list[str] = []
    items = reader(path, on_error=lambda error: errors.append(str(error)))
    return list(items), errors


@pytest.mark.parametrize("name", WRONG)
def test_json_is_the_same_without_orjson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("orjson", reason="needs the extra fast")
    path = tmp_path / "data.jsonl"
    path.write_bytes(WRONG[name])
    fast = told(read_jsonl, path), told(open_records, path)
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert (told(read_jsonl, path), told(open_records, path)) == fast


def drained(blocks: Iterable[bytes]) -> tuple[bytes, str]:
    good = bytearray()
    try:
        for block in blocks:
            good += block
    except ReadError as error:
        return bytes(good), str(error)
    return bytes(good), ""


def test_gzip_is_the_same_without_isal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("isal", reason="needs the extra fast")
    path = tmp_path / "data.gz"
    packed = gzip.compress(GOOD * 900) + gzip.compress(GOOD)
    for data in packed, packed[:-9], packed[:-8] + bytes(8), packed + b"text":
        path.write_bytes(data)
        fast = drained(FileChunkIterator(path))
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "isal", None)
            assert drained(FileChunkIterator(path)) == fast
