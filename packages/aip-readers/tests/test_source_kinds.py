"""Sources that are no plain files: pipes, standard input, /proc, links, URLs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Literal

import pytest

from aip_readers import (
    ChangedError,
    CorruptError,
    FileChunkIterator,
    Limits,
    MissingExtraError,
    NoMatchError,
    OpenError,
    Reader,
    ReadError,
    TruncatedError,
    discover,
    open_records,
    read_csv,
    read_html,
    read_jsonl,
    read_lines,
    read_parquet,
    reread,
)
from aip_readers._members import INPUT

LINE = b'{"text": "ok"}\n'
# Several inputs of the decompressor long, even when it is packed.
DATA = random.Random(1).randbytes(400_000).replace(b"\0", b"\n")


def zstd(data: bytes) -> bytes:
    module = pytest.importorskip("backports.zstd", reason="needs the extra zstd")
    options = {module.CompressionParameter.checksum_flag: 1}
    return bytes(module.compress(data, options=options))


PACKS = pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstd]
)


@contextmanager
def fifo(path: Path, data: bytes) -> Iterator[Path]:
    """Write *data* into a pipe at *path*, from a thread."""
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):  # the reader saw enough
            path.write_bytes(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield path
    finally:
        writer.join(timeout=10)
    assert not writer.is_alive()


def drain(path: Path | str) -> tuple[bytes, ReadError | None]:
    out = bytearray()
    try:
        for block in FileChunkIterator(path):
            out += block
    except ReadError as error:
        return bytes(out), error
    return bytes(out), None


@PACKS
def test_a_pipe_is_read_to_its_end(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(LINE * 3000) + pack(b"") + bytes(9) + pack(LINE)
    with (
        fifo(tmp_path / "fifo", packed) as path,
        open_records(path, format="jsonl") as records,
    ):
        assert sum(1 for _ in records) == 3001
        assert records.bytes_total is None
        assert records.bytes_read == len(packed)


@PACKS
@pytest.mark.parametrize("damage", ["cut", "flipped", "followed"])
def test_a_damaged_pipe_gives_the_bytes_that_a_file_would(
    tmp_path: Path, pack: Callable[[bytes], bytes], damage: str
) -> None:
    packed = bytearray(pack(b"first\n") + pack(DATA))
    assert len(packed) > 9 * INPUT
    if damage == "cut":
        del packed[-len(packed) // 3 :]
    elif damage == "flipped":
        packed[-len(packed) // 3] ^= 0x10
    else:
        packed += b"text"
    plain = tmp_path / "plain"
    plain.write_bytes(packed)
    of_file, wrong = drain(plain)
    with fifo(tmp_path / "fifo", bytes(packed)) as path:
        of_pipe, error = drain(path)
    assert isinstance(error, CorruptError | TruncatedError)
    assert type(error) is type(wrong)
    assert of_pipe == of_file
    assert error.offset == len(of_pipe)
    if damage != "flipped":
        assert (b"first\n" + DATA).startswith(of_pipe)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_what_one_input_made_before_its_damage_comes_out_of_a_pipe(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = b"x" * 1_000_000
    packed = bytearray(pack(data))
    packed[-3] ^= 0xFF  # the sum of all that one input makes, over several steps
    assert len(packed) < INPUT
    with fifo(tmp_path / "fifo", bytes(packed)) as path:
        good, error = drain(path)
    assert isinstance(error, CorruptError)
    assert good == data


def test_a_pipe_that_is_empty_for_a_moment_is_not_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"one and more\n")

    def write() -> None:
        os.write(writing, b"two\n")
        os.close(writing)

    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        blocks = FileChunkIterator("-", 4)
        assert next(blocks) == b"one "
        writer = threading.Timer(0.02, write)
        writer.start()
        assert b"".join(blocks) == b"and more\ntwo\n"
        writer.join()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("kind", ["lines", "csv"])
def test_a_pipe_is_refused_by_whoever_would_go_on_in_it(
    tmp_path: Path, pack: Callable[[bytes], bytes], kind: Literal["lines", "csv"]
) -> None:
    data = pack(b"text\none\n") + pack(b"two\nthree\n")
    with fifo(tmp_path / "first", data) as path:
        records = open_records(path, format=kind)
        first, second = islice(records, 2)
        cursor = records.cursor(second)
        records.close()
    with (
        fifo(tmp_path / "second", data) as path,
        pytest.raises(OpenError, match="no file that can be gone on from"),
    ):
        next(open_records(path, format=kind, start=first.end))
    with (
        fifo(tmp_path / "third", data) as path,
        pytest.raises((OpenError, ChangedError)),
    ):
        next(open_records(path, format=kind, cursor=cursor))
    # Bytes have no beginning that tells how to read them.
    with fifo(tmp_path / "fourth", data) as path:
        assert reread(path, 5, 13) == b"one\ntwo\n"


def run(code: str, stdin: bytes) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode()


def test_standard_input_is_jsonl_by_default() -> None:
    code = (
        "from aip_readers import open_records\n"
        "with open_records('-') as records:\n"
        "    print([(r.source, r.text, r.start, r.line) for r in records])\n"
        "import sys; print(sys.stdin.closed)"
    )
    assert run(code, LINE * 2) == ("[('-', 'ok', 0, 1), ('-', 'ok', 15, 2)]\nFalse\n")
    code = "from aip_readers import read_lines; print(list(read_lines('-')))"
    assert run(code, gzip.compress(b"a\nb")) == "['a', 'b']\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_from_where_it_is(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"read before\n" + pack(LINE * 900))
    code = (
        "from aip_readers import open_records\n"
        "with open_records('-') as records:\n"
        "    print(sum(r.text == 'ok' for r in records), records.bytes_total)"
    )
    with path.open("rb", buffering=0) as file:
        file.seek(12)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdin=file, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["900", str(len(pack(LINE * 900)))]


def test_a_file_as_standard_input_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data"
    path.write_bytes(LINE * 900)
    with path.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(OpenError, match="read it from the start"):
            list(open_records("-", start=14))


def test_a_closed_standard_input_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open(os.devnull) as stdin:  # noqa: PTH123  # as the interpreter opens it
        monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(OpenError, match="cannot read -: "):
        next(read_lines("-"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_file_of_proc_has_no_size_and_is_read() -> None:
    with FileChunkIterator("/proc/self/status") as blocks:
        assert b"VmHWM" in b"".join(blocks)
        assert blocks.bytes_total is None
    with pytest.raises(OpenError, match="input/output error") as caught:
        next(FileChunkIterator("/proc/self/mem"))
    assert caught.value.offset == 0


def test_an_endless_device_ends_at_the_limit() -> None:
    blocks = FileChunkIterator("/dev/zero", limits=Limits(max_bytes=200_000))
    with pytest.raises(ReadError, match="max_bytes=200000"):
        sum(map(len, blocks))


@pytest.mark.parametrize("name", ["nowhere", ".", "loop", "loop/x", "a\0b", "x" * 300])
def test_what_cannot_be_opened_is_one_typed_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for read in (read_lines, read_jsonl, read_csv, read_html, FileChunkIterator):
        with pytest.raises(OpenError, match="cannot read") as caught:
            next(read(f"{tmp_path}/{name}"))
        assert "\n" not in str(caught.value)
    with pytest.raises(OpenError):
        reread(f"{tmp_path}/{name}", 0, 1)


def test_parquet_that_cannot_be_opened_is_one_typed_sentence(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    for name in "nowhere", "a\0b":
        with pytest.raises(OpenError, match="cannot read"):
            next(read_parquet(f"{tmp_path}/{name}"))


def test_an_unreadable_file_is_an_open_error(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        with pytest.raises(OpenError, match="permission denied"):
            next(read_lines(path))
    finally:
        os.seteuid(user)


def test_no_more_files_may_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OpenError, match="too many open files"):
            next(read_lines(path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_loops_of_links_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "c.txt").write_text("c")
    (tmp_path / "self.txt").symlink_to("self.txt")
    (tmp_path / "one.txt").symlink_to("two.txt")
    (tmp_path / "two.txt").symlink_to("one.txt")
    assert list(discover(tmp_path)) == [str(tmp_path / "a" / "c.txt")]
    with pytest.raises(NoMatchError):
        list(discover(tmp_path / "a" / "up" / "a" / "*.md"))


@pytest.mark.parametrize("read", [FileChunkIterator, read_lines])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("change", ["grow", "shrink", "replace", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path,
    read: Callable[[Path], Iterator[object]],
    packed: bool,  # noqa: FBT001  # parametrised
    change: str,
) -> None:
    path = tmp_path / "live"
    data = b"".join(b"%d\n" % (n * n % 99991) for n in range(200_000))
    path.write_bytes(gzip.compress(data) if packed else data)
    items = iter(read(path))
    next(items)
    if change == "grow":
        with path.open("ab") as file:
            file.write(bytes(9) if packed else b"more\n")
    elif change == "shrink":
        os.truncate(path, path.stat().st_size // 2)
    elif change == "replace":
        path.with_name("other").write_bytes(path.read_bytes())
        path.with_name("other").replace(path)
    else:
        body = path.read_bytes()
        before = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == before:  # a clock of a few milliseconds
            path.write_bytes(body[:-4] + b"\xff" * 4)
    with pytest.raises(ChangedError, match=r"the file .* while it was read"):
        for _ in items:
            pass


@pytest.mark.parametrize("read", [FileChunkIterator, read_lines])
def test_a_file_that_never_stops_growing_ends_all_the_same(
    tmp_path: Path, read: Callable[[Path], Reader[object]]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 40_000)

    def grow() -> int:
        batches = 0
        for _ in read(path).batches():
            with path.open("ab") as log:
                log.write(b"line\n" * 40_000)
            batches += 1
            assert batches < 20
        return batches

    with pytest.raises(ChangedError, match="grew"):
        grow()


@pytest.fixture
def memory() -> Iterator[object]:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def test_no_error_of_a_file_system_shows_a_secret() -> None:
    pytest.importorskip("fsspec", reason="needs the extra remote")
    for secret in "user:Word", "user:W@rd":
        url = f"memory://{secret}@host/none.txt"
        with pytest.raises(OpenError) as caught:
            next(read_lines(url))
        reason = "cannot read memory://***@host/none.txt: /***@host/none.txt"
        assert str(caught.value) == reason


def test_a_url_is_read_through_fsspec(memory: object) -> None:
    del memory
    import fsspec  # noqa: PLC0415  # an extra

    with fsspec.open("memory://aip/data.jsonl.gz", "wb") as file:
        file.write(gzip.compress(LINE * 3))
    url = "memory://aip/data.jsonl.gz"
    with open_records(url) as records:
        found = list(records)
        assert [record.start for record in found] == [0, 15, 30]
        assert {record.source for record in found} == {url}
        assert records.bytes_read == records.bytes_total
        cursor = records.cursor(found[1])
    assert list(open_records(url, cursor=cursor)) == found[2:]
    assert reread(url, 15, 29) == LINE.strip()
    with fsspec.open(url, "wb") as file:
        file.write(gzip.compress(LINE * 4 + b"x"))
    with pytest.raises(ChangedError):
        next(open_records(url, cursor=cursor))
    with fsspec.open("memory://aip/plain.txt", "wb") as file:
        file.write(b"0123456789" * 9000)
    assert reread("memory://aip/plain.txt", 80_001, 80_004) == b"123"
    assert next(FileChunkIterator("simplecache::memory://aip/plain.txt", 4)) == b"0123"
    with fsspec.open("memory://aip/cut.gz", "wb") as file:
        file.write(gzip.compress(b"good")[:-3])
    good, error = drain("memory://aip/cut.gz")
    assert good == b"good"
    assert isinstance(error, TruncatedError)


def test_a_url_that_cannot_be_opened_is_one_sentence_without_its_secret(
    memory: object,
) -> None:
    del memory
    with pytest.raises(OpenError, match="memory://aip/gone"):
        next(read_lines("memory://aip/gone"))
    with pytest.raises(OpenError) as caught:
        next(read_lines("nosuch://user:word@host/x"))
    assert "word" not in str(caught.value)
    assert caught.value.source == "nosuch://***@host/x"


def test_what_signs_a_url_is_shown_to_nobody() -> None:
    url = "https://host/f?key=doc&X-Amz-Credential=AK%2F1&X-Amz-Signature=5ec&sig=ret#x"
    shown = "https://host/f?key=doc&X-Amz-Credential=***&X-Amz-Signature=***&sig=***#x"
    assert read_lines(url).source == shown
    with pytest.raises(ReadError, match=r"nosuch://host/x\?sig=\*\*\*: ") as caught:
        list(read_lines("nosuch://host/x?sig=5ecret"))
    assert "5ecret" not in str(caught.value)


def test_a_url_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"aip-readers\[remote\]"):
        next(read_lines("s3://bucket/key"))


def test_a_remote_file_that_breaks_off_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

    class Broken(BytesIO):
        size = 2000

        def open(self) -> BytesIO:
            return self

    monkeypatch.setattr(fsspec, "open", lambda *_: Broken(b"x" * 1000))
    good, error = drain("memory://aip/broken.txt")
    assert good == b"x" * 1000
    assert isinstance(error, ChangedError)
    assert error.reason == "the file ended after 1000 of 2000 bytes"


def test_whatever_a_file_system_raises_is_an_open_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

    class Failing(BytesIO):
        def open(self) -> BytesIO:
            return self

        def seekable(self) -> bool:
            return False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 600:
                raise RuntimeError("https://user:word@host/ said no")
            return super().read(size)

    monkeypatch.setattr(fsspec, "open", lambda *_: Failing(b"x" * 600))
    good, error = drain("memory://aip/failing.txt")
    assert good == b"x" * 600
    assert isinstance(error, OpenError)
    assert error.offset == 600
    assert error.reason == "RuntimeError: https://***@host/ said no"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_ends_where_whoever_waits_for_it_says_so(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    heard = iter([True, False])
    records = open_records(pipe, format="jsonl", wait=lambda _: next(heard, False))
    keeper = os.open(pipe, os.O_RDWR)
    try:
        os.write(keeper, LINE * 3)
        assert [record.text for record in records] == ["ok"] * 3
    finally:
        os.close(keeper)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it would seem empty")
def test_a_pipe_that_nobody_writes_to_can_be_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    records = open_records(pipe, wait=lambda _: False)
    assert list(records) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere opening would block")
def test_who_waits_in_vain_is_asked_again(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    keeper, asked = os.open(pipe, os.O_RDWR), count(1)

    def wait(_: int) -> bool:
        times = next(asked)
        if times == 2:  # the first time there was nothing to read
            os.write(keeper, LINE)
        return times < 4

    try:
        records = open_records(pipe, format="jsonl", wait=wait)
        assert [record.text for record in records] == ["ok"]
    finally:
        os.close(keeper)


def test_nobody_waits_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    records = open_records(path, wait=lambda _: pytest.fail("a file is never silent"))
    assert [record.text for record in records] == ["ok"]
