"""The floors: what `_child.py` does, in the fewest steps that Python has.

Run by its path, like that one. Nothing is checked here and nothing bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import accumulate, chain, count, islice, repeat
from operator import sub

# Found beside this file, which is run by its path.
from _child import BLOCK, consume, main  # type: ignore[import-not-found]

# What aip_readers does too: glibc keeps large blocks once one of this size was freed.
bytes(1 << 20)


def blocks_floor(path: str) -> None:
    """Read blocks that a caller may keep: each is bytes of its own."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the bare loop
        while file.read(BLOCK):
            pass


def _whole_lines(path: str) -> Iterator[bytes]:
    """Cut blocks at their last line end; check nothing, bound nothing."""
    rest = b""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the bare loop
        while block := file.read(BLOCK):
            lines, _, after = (rest + block).rpartition(b"\n")
            yield lines
            rest = after
    yield rest


def _split_lines(path: str) -> Iterator[list[str]]:
    for data in _whole_lines(path):
        yield str(data, "utf-8").split("\n")


def lines_floor(path: str) -> None:
    """Read lines by the fewest steps that Python has: decode a block, split it."""
    for _ in chain.from_iterable(_split_lines(path)):
        pass


def _split_records(path: str) -> Iterator[list[tuple[object, ...]]]:
    at, line, more = 0, 1, {"encoding": "utf-8"}
    for data in _whole_lines(path):
        texts = str(data, "utf-8").split("\n")
        starts = list(accumulate(map(len, BytesIO(data)), initial=at))
        ends = map(sub, islice(starts, 1, None), repeat(1))
        places = starts, ends, range(line, line + len(texts))
        fields = repeat(path), texts, *places, repeat(""), repeat(more)
        yield list(zip(*fields, strict=False))
        at, line = at + len(data) + 1, line + len(texts)


def records_floor(path: str) -> None:
    """Pair lines with their places in plain tuples, checked by nobody."""
    for _ in chain.from_iterable(_split_records(path)):
        pass


def _decoded(path: str) -> Iterator[str]:
    """Decode blocks; check nothing but that they are UTF-8."""
    from codecs import getincrementaldecoder

    decode = getincrementaldecoder("utf-8")().decode
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # the bare loop
        while block := file.read(BLOCK // 4):
            yield decode(block)


def _last_end(text: str, low: int, high: int) -> int:
    """Find the last paragraph, else sentence, else word, else anything, that ends."""
    end = text.rfind("\n\n", low, high + 2)
    if end < 0:
        ends = [text.rfind(mark, low, high) for mark in (". ", "? ", "! ", ".\n")]
        end = max(ends) + 1 or text.rfind(" ", low, high)
    return high if end < 0 else end


def _placed(path: str) -> Iterator[tuple[object, ...]]:
    text, start, at, line, more = "", 0, 0, 1, {"encoding": "utf-8"}
    numbers = count()
    for piece in _decoded(path):
        text, start = text[start:] + piece, 0
        while start + 1002 < len(text):
            end = _last_end(text, start + 500, start + 1000)
            chunk = text[start:end]
            data = chunk.encode()
            yield path, chunk, at, at + len(data), None, next(numbers), more, line
            start = text.find(" ", end - 100, end) + 1 or end
            again = text[start:end].encode()
            at += len(data) - len(again)
            line += data.count(b"\n") - again.count(b"\n")
    end = at + len(text[start:].encode())
    yield path, text[start:], at, end, None, next(numbers), more, line


def split_floor(path: str) -> None:
    """Pair chunks with their bytes and lines in plain tuples; cut graphemes too."""
    consume(_placed(path))


def async_floor(path: str) -> None:
    """Read lines in a thread that hands over four batches at a time, by two locks."""
    from threading import Lock, Thread

    from aip_readers import read_lines

    wanted, there = Lock(), Lock()
    handed: list[deque[Iterable[str]]] = []

    def read() -> None:
        batches = read_lines(path).batches()
        while True:
            handed.append(deque(islice(batches, 4)))
            there.release()
            wanted.acquire()

    wanted.acquire()
    there.acquire()
    Thread(target=read, daemon=True).start()
    while there.acquire() and (batches := handed.pop()):
        while batches:
            consume(batches.popleft())
        wanted.release()


if __name__ == "__main__":
    main(globals())
