"""Fuzz every reader with atheris: whatever the bytes are, the laws hold.

``python fuzz_readers.py TARGET... [-runs=N]`` runs the targets (all by default), two at
a time, and exits with 1 when one of them finds a crash; the input is printed.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import atheris

with atheris.instrument_imports(include=["aip_readers"]):
    from aip_readers import (
        Cleaner,
        CleanPiece,
        FileChunkIterator,
        Limits,
        ReadError,
        Record,
        SourceError,
        Splitter,
        _decode,
        _jsonl,
        clean_chunks,
        open_records,
        read_chunks,
        read_html,
        read_jsonl,
        read_lines,
        read_parquet,
        read_pdf,
    )
    from aip_readers._clean import clean
    from aip_readers._html import text_of_html

SCRATCH = Path("/dev/shm" if Path("/dev/shm").is_dir() else ".")  # noqa: S108  # memory
ENCODINGS = "utf-8", "utf-16-le", "utf-32-be", "gbk", "cp1252", "shift_jis"
POLICIES = "error", "skip", "truncate", "split"
BAD = set(map(chr, (0, *range(0xD800, 0xE000))))


def write(data: bytes) -> Path:
    FILE.write_bytes(data)
    return FILE


def drain(items: Iterable[Any]) -> tuple[list[Any], ReadError | None]:
    got: list[Any] = []
    try:
        got.extend(items)
    except SourceError as error:
        return got, error
    return got, None


def check(records: list[Record], data: bytes, encoding: str, *, exact: bool) -> None:
    end = 0
    for record in records:
        assert end <= record.start <= record.end <= len(data), record
        assert BAD.isdisjoint(record.text)
        if exact:
            raw = data[record.start : record.end]
            assert raw.decode(encoding) == record.text, record
        end = record.end


def is_archive(data: bytes) -> bool:
    return data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")) or (
        data[1:4] == b"\x2a\x4d\x18"
    )


def marked(data: bytes) -> bool:
    return data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\0\0\xfe\xff"))


def fuzz_text(data: bytes) -> None:
    kind, data = data[:1], data[1:]
    encoding = ENCODINGS[sum(kind) % len(ENCODINGS)]
    path = write(data)
    told: list[tuple[int | None, str]] = []
    many: list[tuple[int | None, str]] = []

    def reader(size: int, errors: list[tuple[int | None, str]]) -> list[Record]:
        tell = lambda error: errors.append((error.offset, error.reason))  # noqa: E731
        pieces = read_chunks(path, size, encoding=encoding, on_error=tell).records()
        return drain(pieces)[0]

    one = reader(7, told)
    if not is_archive(data):
        check(one, data, encoding, exact=not marked(data))
    # What costs another pass is asked of every fourth input.
    if sum(kind) % 4 == 0 and not is_archive(data):
        other = reader(65536, many)
        assert told == many
        assert "".join(r.text for r in one) == "".join(r.text for r in other)


def fuzz_lines(data: bytes) -> None:
    kind, data = sum(data[:1]), data[1:]
    encoding = ENCODINGS[kind % len(ENCODINGS)]
    policy: Any = POLICIES[kind // 4 % 4]
    limits = Limits(max_record_bytes=4 + kind % 30, on_oversize=policy)
    path = write(data)
    rest: dict[str, Any] = {"limits": limits, "encoding": encoding}
    records, _ = drain(read_lines(path, on_error=lambda _: None, **rest).records())
    if not is_archive(data):
        check(records, data, encoding, exact=not marked(data))
    if kind % 4:
        return
    texts, _ = drain(read_lines(path, 5, on_error=lambda _: None, **rest))
    assert [record.text for record in records] == texts
    replaced, _ = drain(read_lines(path, on_error=lambda _: "replace", **rest))
    assert len(replaced) >= len(texts)
    for at in range(0, len(records), 16):
        start, line = records[at].end, records[at].line
        again = open_records(
            path, format="lines", start=start, start_line=line, on_error="skip", **rest
        )
        if policy in {"error", "skip"} and not is_archive(data):
            assert drain(again)[0] == records[at + 1 :]


def _as_orjson(value: Any) -> Any:
    """Make floats of whole numbers beyond 64 bits, as orjson does."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, list):
        return [_as_orjson(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_orjson(each) for key, each in value.items()}
    return value


def fuzz_jsonl(data: bytes) -> None:
    path = write(data)
    results = []
    for loads in _decode.fast_loads, _decode._standard:
        setattr(_jsonl, "fast_loads", loads)  # noqa: B010  # the two ways
        errors: list[str] = []
        values, last = drain(
            read_jsonl(path, on_error=lambda error: errors.append(str(error)))  # noqa: B023
        )
        results.append((repr(list(map(_as_orjson, values))), errors, str(last)))
        text = json.dumps(values)
        assert "\\u0000" not in text.replace("\\\\", "")
    assert results[0] == results[1], results
    records, _ = drain(open_records(path, format="jsonl", on_error="skip"))
    if not is_archive(data):
        check(records, data, "utf-8", exact=False)


def fuzz_csv(data: bytes) -> None:
    limits = Limits(max_record_bytes=200)
    path = write(data)
    records, _ = drain(
        open_records(
            path, format="csv", text_field="a", limits=limits, on_error=lambda _: None
        )
    )
    if not is_archive(data):
        check(records, data, "utf-8", exact=False)


def fuzz_html(data: bytes) -> None:
    path = write(data)
    for text in drain(read_html(path, on_error=lambda _: "replace"))[0]:
        assert BAD.isdisjoint(text)
    sys.modules["selectolax.lexbor"] = None  # type: ignore[assignment]  # without it
    try:
        text_of_html(data.decode("utf-8", "replace"))
    finally:
        del sys.modules["selectolax.lexbor"]


def fuzz_archive(data: bytes) -> None:
    kind, flips, inner = sum(data[:1]), data[1:5], data[5:]
    packed = bytearray(PACKS[kind % len(PACKS)](inner * 3) * (1 + kind % 2))
    for place, bits in zip(flips[::2], flips[1::2], strict=False):
        packed[place * len(packed) // 256] ^= bits
    packed += inner[: kind % 5]
    results = []
    for size in 3, 65536:
        blocks, error = drain(FileChunkIterator(write(bytes(packed)), size))
        good = b"".join(blocks)
        assert error is None or error.offset == len(good)
        results.append((good, str(error)))
    assert results[0] == results[1]


def fuzz_magic(data: bytes) -> None:
    magic = (b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
    path = write(magic[sum(data[:1]) % 4] + data[1:])
    limits = Limits(max_bytes=1 << 20)
    blocks, error = drain(FileChunkIterator(path, limits=limits))
    assert error is None or error.offset == sum(map(len, blocks))


def fuzz_clean(data: bytes) -> None:
    size, text = 1 + sum(data[:1]), data[1:].decode("utf-8", "replace")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    whole = clean(text)
    assert clean(whole) == whole
    assert "".join(clean_chunks(pieces)) == whole
    records, at = [], 0
    for piece in pieces:
        end = at + len(piece.encode())
        records.append(Record("a", piece, at, end, 1, None, {}))
        at = end
    traced: list[CleanPiece] = list(Cleaner().trace(records))
    assert "".join(piece.text for piece in traced) == whole
    spans = [
        piece.span(at, at + 1) for piece in traced for at in range(len(piece.text))
    ]
    assert spans == sorted(spans)


def _length(text: str) -> int:
    return (len(text.encode()) + 2) // 3


def fuzz_split(data: bytes) -> None:
    kind, text = sum(data[:1]), data[1:].decode("utf-8", "replace")
    size = 1 + kind % 40
    length: Callable[[str], int] | None = _length if kind % 5 == 0 else None
    splitter = Splitter(size=size, overlap=kind % (size // 2 + 1), length=length)
    raw = text.encode()
    path = write(raw)
    if is_archive(raw) or b"\0" in raw or marked(raw):
        return
    chunks = list(splitter.split(open_records(path)))
    if kind % 4 == 0:
        assert chunks == list(splitter.split(read_chunks(path, 11).records()))
    covered = 0
    for chunk in chunks:
        assert clean(raw[chunk.start : chunk.end].decode()) == chunk.text
        assert not clean(raw[covered : max(covered, chunk.start)].decode())
        assert covered < chunk.end
        covered = chunk.end
    assert not clean(raw[covered:].decode())
    if chunks and kind % 4 == 1:
        chunk = chunks[len(chunks) // 2]
        again = open_records(path, start=chunk.start, start_line=chunk.line)
        rest = splitter.split(again, first_ordinal=chunk.ordinal)
        assert list(rest) == chunks[len(chunks) // 2 :]


def fuzz_parquet(data: bytes) -> None:
    drain(read_parquet(write(data), on_error=lambda _: "replace"))


def fuzz_pdf(data: bytes) -> None:
    drain(read_pdf(write(b"%PDF-1.4\n" + data), on_error=lambda _: "replace"))


def _zstd(data: bytes) -> bytes:
    from backports import zstd  # noqa: PLC0415  # an extra

    return bytes(
        zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
    )


PACKS: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress,
    bz2.compress,
    lambda data: lzma.compress(data, preset=0),
    _zstd,
)
TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): function
    for name, function in sorted(globals().items())
    if name.startswith("fuzz_")
}
LONGEST = "split"
SEEDS: dict[str, list[bytes]] = {
    "jsonl": [
        b'{"a": [1, -2.5e3, "\\u00e9\\ud83d\\udc4b", null, true]}\n[]\n',
        b"\\u0000",
    ],
    "csv": [b'a,b\n1,"x\ny"\n2,"q""q"\r\n', b'a\n"open\n1\n'],
    "html": [b"<head><title>T</title><p>a<b>c</b><script>x</script><!-- c -->&amp;"],
    "lines": [b"\x00a\r\nb\n\xff\xfe\nc", "\x01é\n日\r\n".encode("utf-16-le")],
    "text": [b"\x00abc\xc3\xa9\xff\x00d", "\x01é日👋".encode("utf-16-le")],
    "split": ["\x09One two. Three\n\nfour e\u0301 👩\u200d👧 日本。".encode()],
    "clean": ["\x03 a\u0301\r\n\t\x01 b\u2028\u3000한".encode()],
}


def run_one(target: str, options: list[str]) -> int:
    """Run one target in a process of its own, where libFuzzer may exit."""
    with TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS.get(target, [b"\0abc"])):
            (Path(corpus) / str(number)).write_bytes(seed)
        bounds = (
            "-max_len=120",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        )
        command = [sys.executable, __file__, "--child", target, corpus, *bounds]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, check=False
        )
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    stats = [line for line in lines if line.startswith(("stat::num", "Done "))]
    verdict = "ok" if done.returncode == 0 else "CRASHED"
    sys.stdout.write(" ".join([target, verdict, *stats]) + "\n")
    if done.returncode:
        told = [line for line in lines if not line.startswith("INFO")]
        sys.stdout.write("\n".join(told) + "\n")
    sys.stdout.flush()
    return done.returncode


def main(arguments: list[str]) -> int:
    options = [each for each in arguments if each.startswith("-")]
    targets = [each for each in arguments if not each.startswith("-")]
    # The longest first, lest it runs alone at the end.
    targets = targets or sorted(TARGETS, key=lambda name: name != LONGEST)
    with ThreadPoolExecutor(2) as pool:
        return max(pool.map(lambda target: run_one(target, options), targets)) and 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        with TemporaryDirectory(dir=SCRATCH) as folder:
            FILE = Path(folder) / "input"
            atheris.Setup([sys.argv[0], *sys.argv[3:]], TARGETS[sys.argv[2]])
            atheris.Fuzz()
    else:
        sys.exit(main(sys.argv[1:]))
