"""Decode JSON: with orjson where it is installed, with the same results and errors."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import repeat

from ._errors import ParseError, RecordEncodingError
from ._line_readers import decode_line, replaced
from ._lines import RawLine
from ._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._types import Loads

UNSAFE = re.compile("[\0\ud800-\udfff]")
ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes that may stand for a NUL or a lone surrogate."""
_OPEN = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)


def fast_loads() -> Loads:
    """Return a decoder of many lines at once: orjson's, or Python's own.

    It raises ValueError or RecursionError where a line needs a closer look.
    """
    try:
        import orjson  # noqa: PLC0415  # an extra is imported where it is used
    except ImportError:
        return _standard()
    loads = orjson.loads
    return lambda data: list(map(loads, BytesIO(data)))


def _standard() -> Loads:
    """Decode without ``json.loads``, which looks at each line three times more."""
    import json  # noqa: PLC0415  # not needed beside orjson

    # The scanner behind json.loads; typeshed knows nothing of it.
    scan: Callable[[str, int], tuple[Any, int]]
    scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # see above

    def loads(data: bytes) -> list[Any]:
        lines = str(data, "utf-8").split("\n")
        pairs = list(map(scan, lines, repeat(0)))
        # A line that is no JSON ends the map early; one that goes on ends short.
        if [end for _, end in pairs] != list(map(len, lines)):
            raise ValueError
        return [value for value, _ in pairs]

    return loads


_ESCAPE = re.compile(
    r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u0000|\\u[dD][89a-fA-F]..|\\.", re.DOTALL
)


def _is_unsafe(found: re.Match[str]) -> bool:
    return len(found[0]) == len(r"\u0000")


def _replacement(found: re.Match[str]) -> str:
    return r"\ufffd" if _is_unsafe(found) else found[0]


def unsafe_escape(text: str) -> re.Match[str] | None:
    r"""Find the first escape of a JSON text that is a NUL or half a code point.

    >>> unsafe_escape(r'"\\u0000 \ud83d\udc4b \udc4b"').span()
    (22, 28)
    """
    return next(filter(_is_unsafe, _ESCAPE.finditer(text)), None)


def safe(value: Any) -> Any:
    r"""Return *value* with NULs and lone surrogates in its strings made U+FFFD."""
    if isinstance(value, str):
        return UNSAFE.sub("\ufffd", value)
    if isinstance(value, list):
        return [safe(each) for each in value]
    if isinstance(value, dict):
        return {safe(key): safe(each) for key, each in value.items()}
    return value


def depth_of(data: bytes) -> int:
    """Return how deeply the brackets of a JSON text nest, strings apart.

    >>> depth_of(b'{"a": [1, "[[["]}')
    2
    """
    depth = deepest = 0
    for match in _OPEN.finditer(data):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif match[2]:
            depth -= 1
    return deepest


def check_depth(source: str, raw: RawLine, max_depth: int) -> None:
    """Raise ``ParseError`` for a line that nests more deeply than *max_depth*."""
    data = raw.data
    # What is shallow by a count, and most lines are, needs no walk.
    if len(data) <= 2 * max_depth or data.count(b"[") + data.count(b"{") <= max_depth:
        return
    if depth_of(data) > max_depth:
        reason = f"this JSON nests more deeply than max_depth={max_depth}"
        raise ParseError(source, raw.start, raw.line, reason)


def parse(source: str, raw: RawLine, *, max_depth: int) -> Any:
    """Return the JSON value of one line, or raise ``RecordError``.

    This is the careful way: the errors are those of Python's own decoder.
    """
    text = decode_line(source, raw)
    check_depth(source, raw, max_depth)
    value = _value(source, raw, text)
    found = unsafe_escape(text) if ESCAPED.search(raw.data) else None
    if found is None:
        return value
    at = raw.start + len(text[: found.start()].encode(raw.encoding))
    raise RecordEncodingError(source, at, raw.line, f"{found[0]} stands for no text")


def parse_replaced(source: str, raw: RawLine, *, max_depth: int) -> Any:
    """Do the same, with U+FFFD for bytes and escapes that stand for no text."""
    text = _ESCAPE.sub(_replacement, replaced(raw))
    check_depth(source, raw, max_depth)
    return _value(source, raw, text)


def _value(source: str, raw: RawLine, text: str) -> Any:
    import json  # noqa: PLC0415  # not needed beside orjson

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = raw.start + len(text[: error.pos].encode(raw.encoding, "replace"))
        reason = f"this line is not JSON: {error.msg.lower()}"
        raise ParseError(source, min(at, raw.end), raw.line, reason) from error
    except (ValueError, RecursionError) as error:
        reason = f"this line is not JSON we can hold: {error}"
        raise ParseError(source, raw.start, raw.line, reason) from error
