"""Lines: found in bytes, bounded, decoded last, a block at a time."""

from __future__ import annotations

from itertools import chain

from ._errors import OversizeError, settle
from ._limits import Limits
from ._source import BLOCK, ByteSource
from ._text import TextSource
from ._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from ._types import OnError

_SMALL = 16 * 1024
"""Bytes of blocks that are joined before their line is whole."""


class RawLine(NamedTuple):
    """One line without its end, in UTF-8, and the bytes of the source it is."""

    data: bytes
    start: int
    end: int
    line: int
    encoding: str = "utf-8"
    """What the source is in; a place in *data* is another in the source's bytes."""


class LineBatch:
    r"""Whole lines in UTF-8, ``\n`` between them, and where they are.

    ``spans`` is None where the bytes are the source's own: then they follow from the
    lengths of the lines. ``ended`` says whether a line end follows the last one, so
    that a ``\r`` there belongs to it.
    """

    __slots__ = "count", "data", "encoding", "ended", "line", "spans", "start"

    def __init__(
        self,
        data: bytes,
        start: int,
        line: int,
        spans: Sequence[tuple[int, int]] | None = None,
        *,
        ended: bool = True,
        encoding: str = "utf-8",
    ) -> None:
        self.data = data
        self.start = start
        self.line = line
        self.spans = spans
        self.ended = ended
        self.encoding = encoding
        # Whoever splits the batch says how many lines it holds: counting costs as much.
        # Who has no more use for the bytes lets go of them.
        self.count = 0

    def raw_lines(self) -> Iterator[RawLine]:
        """Yield the lines one by one."""
        at = self.start
        spans = iter(self.spans or ())
        lines = self.data.split(b"\n")
        self.count = len(lines)
        last = self.line + len(lines) - 1
        for number, data in enumerate(lines, self.line):
            has_end = self.ended or number < last
            bare = data.removesuffix(b"\r") if has_end else data
            start, end = next(spans, (at, at + len(bare)))
            yield RawLine(bare, start, end, number, self.encoding)
            at += len(data) + 1


class LineSource:
    r"""The lines of one source as bytes; ``\n`` and ``\r\n`` end a line.

    Holds one block, and at most ``max_record_bytes`` of one line. A start in the middle
    of a source may be the end of an earlier line: its ``\n`` is passed over.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        limits: Limits,
        line: int = 1,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
        size: int = BLOCK,
        after_record: bool = False,
    ) -> None:
        self.source = source
        self._size = size
        self._on_error = on_error
        self._limits = limits
        self.max_bytes = limits.max_record_bytes
        self.policy = limits.on_oversize
        self._line = line
        # What a record was truncated to is not where its line ends.
        self._is_within = after_record and self.policy == "truncate"
        self._begun = not source.goes_on or self._is_within
        self._at = source.position
        self._encoding = encoding

    def batches(self) -> Iterator[LineBatch]:
        """Yield the lines, a block's worth at a time."""
        text = TextSource(self.source, encoding=self._encoding, size=self._size)
        at, ahead = text.take()
        if at > self._at:
            # No earlier span ended before the mark.
            self._at, self._begun = at, True
        blocks = chain([ahead] if ahead else [], self.source.blocks(self._size))
        if text.encoding != "utf-8":
            return self._wide(text.encoding, blocks)
        return self._split(blocks)

    def _wide(self, encoding: str, blocks: Iterator[bytes]) -> Iterator[LineBatch]:
        from ._wide import WideLines  # noqa: PLC0415  # most sources are UTF-8

        lines = WideLines(
            self.source.name,
            encoding,
            at=self._at,
            line=self._line,
            begun=self._begun,
            within=self._is_within,
            limits=self._limits,
            on_error=self._on_error,
        )
        for text, start, end, line in lines.lines(blocks):
            data, spans = text.encode(), ((start, end),)
            yield LineBatch(data, start, line, spans, ended=False, encoding=encoding)

    def _split(self, blocks: Iterator[bytes]) -> Iterator[LineBatch]:
        if not self._begun:
            blocks = self._after_line_end(blocks)
        carry: list[bytes] = []
        held, passing = 0, self._is_within
        # Not for, which would hold the block while its lines are used.
        while (block := next(blocks, None)) is not None:
            if passing:
                block, passing = self._pass_over(block)
            cut = block.rfind(b"\n")
            if cut >= 0:
                # A view, so that the block is copied but once.
                carry = [b"".join((*carry, memoryview(block)[:cut]))]
                block = block[cut + 1 :]
                yield from self._whole(carry.pop())
                held = 0
            if block:
                held += len(block)
                _append(carry, block)
            if held - block.endswith(b"\r") > self.max_bytes:
                if self.policy in {"error", "skip"}:
                    carry.clear()  # not joined: that would hold the line twice
                    self._drop(held)
                    held, passing = 0, True
                    continue
                # Popped, so that no second copy of the line is held meanwhile.
                carry = [b"".join(carry)]
                rest, passing = yield from self._too_long(carry.pop())
                carry, held = [rest] if rest else [], len(rest)
        if held:
            yield from self._last(b"".join(carry))

    def _last(self, data: bytes) -> Iterator[LineBatch]:
        r"""Yield a line that no line end follows, so that a ``\r`` is its own."""
        passing = False
        if len(data) > self.max_bytes:
            data, passing = yield from self._too_long(data, ended=False)
        if not passing:
            yield LineBatch(data, self._at, self._line, ended=False)

    def _after_line_end(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass over the line end on which an earlier span ended."""
        first = next(blocks, b"")
        if first == b"\r":
            # A compressed member may end within a line end.
            first += next(blocks, b"")
        for end in b"\r\n", b"\n":
            if first.startswith(end):
                self._at += len(end)
                self._line += 1
                first = first[len(end) :]
                break
        return chain([first], blocks)

    def _pass_over(self, block: bytes) -> tuple[bytes, bool]:
        """Drop the rest of a line that is too long."""
        head, end, rest = block.partition(b"\n")
        self._at += len(head) + len(end)
        if end:
            self._line += 1
        return rest, not end

    def _whole(self, data: bytes) -> Iterator[LineBatch]:
        """Yield whole lines; the last one's end is not in *data*."""
        lines = data.split(b"\n") if len(data) > self.max_bytes else []
        if not lines or max(map(len, lines)) <= self.max_bytes:
            batch, size = LineBatch(data, self._at, self._line), len(data)
            del data
            yield batch
            self._at += size + 1
            self._line += batch.count
            return
        for line in lines:
            rest, passing = line, False
            if len(line) - line.endswith(b"\r") > self.max_bytes:
                rest, passing = yield from self._too_long(line)
            if not passing:
                yield LineBatch(rest, self._at, self._line)
                self._at += len(rest)
            self._at += 1
            self._line += 1

    def _too_long(
        self, data: bytes, *, ended: bool = True
    ) -> Generator[LineBatch, None, tuple[bytes, bool]]:
        r"""Apply the policy; return what is left of the line, and whether to drop it.

        A ``\r`` at the end is not counted, unless it is known to be no line end's.
        """
        at, line = self._at, self._line
        if self.policy in {"error", "skip"}:
            self._drop(len(data))
            return b"", True
        while len(data) - (ended and data.endswith(b"\r")) > self.max_bytes:
            cut = _code_point_before(data, self.max_bytes)
            piece = LineBatch(data[:cut], self._at, line, ended=False)
            after, data = at + len(data), data[cut:]
            yield piece
            piece.data = b""
            if self.policy == "truncate":
                self._at = after
                return b"", True
            self._at += cut
            at = self._at
        return data, False

    def _drop(self, n_bytes: int) -> None:
        """Pass over what was read of a line that is too long; tell, if asked to."""
        if self.policy == "error":
            self._report(self._at, self._line)
        self._at += n_bytes

    def _report(self, at: int, line: int) -> None:
        """Settle a line that is too long."""
        reason = f"the record holds more than max_record_bytes={self.max_bytes}"
        settle(OversizeError(self.source.name, at, line, reason), self._on_error)


def _append(carry: list[bytes], block: bytes) -> None:
    """Add a block to a line, and join the last ones where they are small.

    Beside its bytes a block takes 33: those of a pipe or of short members would take
    many times their line.
    """
    carry.append(block)
    while len(carry) > 1 and len(carry[-2]) <= len(carry[-1]) < _SMALL:
        carry[-2:] = [carry[-2] + carry[-1]]


def _code_point_before(data: bytes, at: int) -> int:
    """Return the last place at or before *at* that cuts no UTF-8 code point."""
    first = at
    while first > at - 4 and first > 1 and data[first] & 0xC0 == 0x80:  # noqa: PLR2004
        first -= 1
    return first if data[first] & 0xC0 != 0x80 else at  # noqa: PLR2004
