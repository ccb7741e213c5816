"""Errors counted, and the first of them kept."""

from __future__ import annotations

from threading import Lock

from ._errors import ReadError
from ._limits import at_least


class ErrorReport:
    r"""Count errors and keep the first *keep* of them: an ``on_error`` with a bound.

    However many records of however many sources are bad, it holds *keep* errors, and a
    number for each kind of error. May be shared by threads. What it is told of is
    passed over, as with "skip"; with ``replace=True`` bad bytes become U+FFFD.

    >>> from tempfile import NamedTemporaryFile
    >>> from aip_readers import read_jsonl
    >>> report = ErrorReport(keep=1)
    >>> with NamedTemporaryFile() as file:
    ...     _ = file.write(b'{\n[]\n"'), file.flush()
    ...     list(read_jsonl(file.name, on_error=report))
    [[]]
    >>> report.count, report.kinds, [error.line for error in report.first]
    (2, {'ParseError': 2}, [1])
    """

    def __init__(self, *, keep: int = 100, replace: bool = False) -> None:
        self.keep = at_least(0, "keep", keep)
        self.replace = replace
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.first: list[ReadError] = []
        self._lock = Lock()

    def __call__(self, error: ReadError) -> str:
        """Take one error down."""
        kind = type(error).__name__
        with self._lock:
            self.count += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if len(self.first) < self.keep:
                self.first.append(error)
        return "replace" if self.replace else "skip"

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        if not self.count:
            return "no errors"
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.kinds.items())
        lines = [f"{self.count} errors ({kinds})", *map(str, self.first)]
        if self.count > len(self.first):
            lines.append(f"and {self.count - len(self.first)} more")
        return "\n".join(lines)
