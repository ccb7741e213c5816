"""One piece of work in a fresh process: ``python _child.py WORK WARM PATH [...]``.

Run by its path, so that nothing but the work itself is imported. With a small file
WARM instead of ``-`` the work is done on that before, uncounted, so that what is timed
is no import. It prints the CPU seconds of the work, the peak of its resident memory in
bytes (VmHWM), and its result.
"""

# Each work imports what it measures, and nothing before it.
from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable

BLOCK = 64 * 1024
Work = Callable[..., object]


def consume(items: Iterable[object]) -> None:
    """Take every item and hold none."""
    deque(items, maxlen=0)


def nothing(_: str) -> None:
    """Do nothing: a bare interpreter."""


def blocks_bare(path: str) -> None:
    """Read with readinto into one buffer."""
    buffer = bytearray(BLOCK)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the bare loop
        while file.readinto(buffer):
            pass


def blocks(path: str) -> None:
    """Read blocks."""
    from aip_readers import FileChunkIterator

    for _ in FileChunkIterator(path, BLOCK):
        pass


def lines_bare(path: str) -> None:
    """Read lines as everybody does."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        for _ in file:
            pass


def lines(path: str) -> None:
    """Read lines."""
    from aip_readers import read_lines

    for _ in read_lines(path):
        pass


def line_records(path: str) -> None:
    """Read lines with their spans."""
    from aip_readers import read_lines

    for _ in read_lines(path).records():
        pass


def jsonl_orjson(path: str) -> None:
    """Decode lines by orjson, nothing checked."""
    import orjson

    with open(path, "rb") as file:  # noqa: PTH123  # the bare loop
        for _ in map(orjson.loads, file):
            pass


def jsonl_bare(path: str) -> None:
    """Decode lines by json, nothing checked."""
    import json

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        for line in file:
            json.loads(line)


def _without(*names: str) -> None:
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # makes its import fail


def jsonl(path: str) -> None:
    """Decode lines."""
    from aip_readers import read_jsonl

    for _ in read_jsonl(path):
        pass


def jsonl_plain(path: str) -> None:
    """Decode lines without the extra."""
    _without("orjson")
    jsonl(path)


def jsonl_records(path: str) -> None:
    """Decode lines into records."""
    from aip_readers import open_records

    for _ in open_records(path, format="jsonl"):
        pass


def gzip_isal_raw(path: str) -> None:
    """Decompress by isal's own file object."""
    from isal import igzip

    with igzip.open(path, "rb") as file:  # type: ignore[no-untyped-call,unused-ignore]  # isal has no types
        while file.read(BLOCK):
            pass


def gzip_module(path: str) -> None:
    """Decompress by the standard library's file object."""
    import gzip

    with gzip.open(path, "rb") as file:
        while file.read(BLOCK):
            pass


def gzip_plain(path: str) -> None:
    """Decompress without the extra."""
    _without("isal")
    blocks(path)


def lines_plain(path: str) -> None:
    """Read lines without the extra."""
    _without("isal")
    lines(path)


def gzip_lines_module(path: str) -> None:
    """Read lines through the standard library's file object."""
    import gzip

    with gzip.open(path, "rt", encoding="utf-8") as file:
        for _ in file:
            pass


def zstd_bare(path: str) -> None:
    """Decompress frames by the decompressor alone."""
    from backports import zstd

    # In smaller pieces of output the allocator finds no room for the next window where
    # the last one was, and takes 2 MiB more.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the bare loop
        frame, data = zstd.ZstdDecompressor(), b""
        while data or (data := file.read(BLOCK // 2)):
            frame.decompress(data, 2 * BLOCK)
            while not frame.eof and not frame.needs_input:
                frame.decompress(b"", 2 * BLOCK)
            data = frame.unused_data if frame.eof else b""
            frame = zstd.ZstdDecompressor() if frame.eof else frame


def csv_rows(path: str) -> None:
    """Read rows."""
    from aip_readers import read_csv

    consume(read_csv(path))


def clean_naive(path: str) -> int:
    """Clean a text as its definition says, at once."""
    import re
    import unicodedata

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        text = file.read()
    controls = "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]"
    text = re.sub(controls, "", re.sub("[\ud800-\udfff]", "\ufffd", text))
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"\r\n?", "\n", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return hash_of([re.sub(r"\n{3,}", "\n\n", text).strip()])


def clean_ftfy(path: str) -> None:
    """Clean a text by ftfy."""
    import ftfy

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        for line in file:
            ftfy.fix_text(line)


def clean(path: str) -> int:
    """Clean a text as it streams."""
    from aip_readers import clean_chunks, read_chunks

    return hash_of(clean_chunks(read_chunks(path)))


def hash_of(pieces: Iterable[str]) -> int:
    """Return a checksum of the text that the pieces make up."""
    import zlib

    total = 0
    for piece in pieces:
        total = zlib.crc32(piece.encode(), total)
    return total


def split(path: str) -> int:
    """Split a text as it streams, cleaning it, with exact spans."""
    from aip_readers import open_records, split as split_records

    count = 0
    for _ in split_records(open_records(path)):
        count += 1
    return count


def split_only(path: str) -> None:
    """Split a text as it streams, with exact spans, without cleaning."""
    from aip_readers import open_records, split as split_records

    consume(split_records(open_records(path), clean="none"))


def split_semantic(path: str) -> None:
    """Split a text by semantic-text-splitter, with its offsets."""
    from semantic_text_splitter import TextSplitter

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        text = file.read()
    consume(TextSplitter(1000, overlap=100).chunk_indices(text))


def split_langchain(path: str) -> None:
    """Split a text by LangChain, with its offsets."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the bare loop
        text = file.read()
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=1000, chunk_overlap=100, add_start_index=True
    )
    consume(splitter.create_documents([text]))


def asyncio_alone(_: str) -> None:
    """Run an async program that does nothing."""
    import asyncio

    asyncio.run(asyncio.sleep(0))


def stream_batches(path: str) -> None:
    """Read lines in async code, in batches."""
    import asyncio

    from aip_readers import read_lines, stream

    async def run() -> None:
        async for batch in stream(read_lines(path)).batches():
            consume(batch)

    asyncio.run(run())


def sync_batches(path: str) -> None:
    """Read lines in batches, in an async program that blocks."""
    import asyncio

    from aip_readers import read_lines

    async def run() -> None:
        for batch in read_lines(path).batches():
            consume(batch)

    asyncio.run(run())


def stream_lines(path: str) -> None:
    """Read lines in async code, one by one."""
    import asyncio

    from aip_readers import read_lines, stream

    async def run() -> None:
        async for _ in stream(read_lines(path)):
            pass

    asyncio.run(run())


def aiofiles_lines(path: str) -> None:
    """Read lines in async code by aiofiles."""
    import asyncio

    import aiofiles

    async def run() -> None:
        async with aiofiles.open(path, encoding="utf-8") as file:
            async for _ in file:
                pass

    asyncio.run(run())


def long_line(path: str, policy: str) -> int:
    """Read lines of which one is far too long."""
    from aip_readers import Limits, read_lines

    limits = Limits(max_record_bytes=1 << 20, on_oversize=policy)  # type: ignore[arg-type]  # from argv
    return sum(1 for _ in read_lines(path, limits=limits, on_error=lambda _: None))


def bomb(path: str) -> int:
    """Read a bomb until its ratio stops it."""
    from aip_readers import FileChunkIterator, LimitError

    try:
        consume(FileChunkIterator(path))
    except LimitError:
        return 1
    return 0


def import_readers(_: str) -> int:
    """Import the package, and count what is not the standard library's."""
    before = set(sys.modules)
    import aip_readers

    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    return len(new - set(sys.stdlib_module_names) - {aip_readers.__name__})


def import_smart_open(_: str) -> None:
    """Import smart_open."""
    import smart_open

    del smart_open


def seek(path: str, start: str) -> int:
    """Open near the end of a file and take one line."""
    from aip_readers import open_records

    with open_records(path, format="lines", start=int(start)) as records:
        began = time.perf_counter_ns()
        next(records)
        return time.perf_counter_ns() - began


def resume(path: str, out: str, stop_after: str) -> int:
    """Read on from where the last process was killed, then be killed likewise."""
    import json
    import os
    import signal
    from pathlib import Path

    from aip_readers import open_records

    state = Path(out + ".cursor")
    cursor = json.loads(state.read_text()) if state.exists() else None
    with (
        open(out, "a", encoding="utf-8") as file,  # noqa: PTH123  # as above
        open_records(path, format="lines", cursor=cursor) as records,
    ):
        for count, record in enumerate(records, 1):
            file.write(f"{record.start} {record.line} {record.text}\n")
            if count == int(stop_after):
                file.flush()
                state.write_text(json.dumps(records.cursor(record)))
                os.kill(os.getpid(), signal.SIGKILL)
    return 0


def peak_bytes() -> int:
    """Return the peak of this process's resident memory."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123  # nothing imported
        for line in status:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def main(works: dict[str, Work]) -> None:
    """Do what the command line names, and print what it cost."""
    work = works[sys.argv[1]]
    warm, *args = sys.argv[2:]
    if warm != "-":
        work(warm)
    start = time.process_time()
    value = work(*args)
    seconds = time.process_time() - start
    print(seconds, peak_bytes(), 0 if value is None else value)


if __name__ == "__main__":
    main(globals())
