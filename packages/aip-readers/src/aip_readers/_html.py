"""HTML as the text a reader sees, block by block."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ._errors import OversizeError, settle_oversize
from ._files import Path
from ._limits import Limits
from ._reader import Asked, Reader
from ._records import Record
from ._source import ByteSource
from ._tags import tokens
from ._text import TextSource
from ._types import OnError

SKIPPED = frozenset({"script", "style", "template", "noscript", "svg", "math", "head"})
BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl"}
    | {"dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3"}
    | {"h4", "h5", "h6", "header", "hr", "html", "li", "main", "nav", "ol", "p", "pre"}
    | {"section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "title"}
)
_IN_HEAD = frozenset(
    {"base", "basefont", "bgsound", "link", "meta", "noframes", "noscript", "object"}
    | {"script", "style", "template", "title"}
)
# Elements that hold none of their own kind, and often have no end tag.
_SHALLOW = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"}
    | {"param", "source", "track", "p", "li", "tr", "td", "th", "dd", "dt", "option"}
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)")
DEEP = 2000
"""Elements within elements; past it a tree takes time with the square of its depth."""
_TIGHT = frozenset({"li", "tr", "dt", "dd", "option"})
_SPACE = re.compile(r"\s+")
_EDGES = re.compile(r"[ \t]*\n[ \t]*")
_GAPS = re.compile(r"\n{3,}")


class _Collector:
    """Text in the order of the document: blocks apart, inline markup dropped."""

    def __init__(self) -> None:
        self.title = ""
        self._parts: list[str] = []
        self._pre = 0

    def begin(self, tag: str) -> None:
        """Open an element."""
        self._pre += tag == "pre"
        if tag == "br":
            self._parts.append("\n")
        elif tag in {"td", "th"}:
            self._parts.append(" ")
        else:
            self._gap(tag)

    def end(self, tag: str) -> None:
        """Close an element."""
        self._pre = max(0, self._pre - (tag == "pre"))
        self._gap(tag)

    def _gap(self, tag: str) -> None:
        if tag in BLOCKS:
            self._parts.append("\n" if tag in _TIGHT else "\n\n")

    def text(self, text: str) -> None:
        """Add text; its line ends are spaces to a reader, but for ``pre``."""
        self._parts.append(text if self._pre else _SPACE.sub(" ", text))

    def whole(self) -> str:
        """Return the text with at most one empty line between blocks."""
        text = _EDGES.sub("\n", "".join(self._parts))
        return _GAPS.sub("\n\n", text).strip()


def _standard(html: str) -> tuple[str, str]:
    """Walk the tags as they come; what may stand in a head ends none."""
    collector = _Collector()
    skipping: list[str] = []
    title = in_title = False
    for kind, value in tokens(html):
        if kind == "text":
            if in_title:
                collector.title += value
            elif not skipping:
                collector.text(value)
            continue
        if value == "title" and (in_title or not title):
            # The first one names the document.
            in_title, title = kind == "start", True
            continue
        if skipping == ["head"] and value not in _IN_HEAD:
            skipping.clear()
        if kind == "start" and value in SKIPPED:
            skipping.append(value)
        elif kind == "end" and value in skipping:
            del skipping[len(skipping) - 1 - skipping[::-1].index(value) :]
        elif not skipping:
            (collector.begin if kind == "start" else collector.end)(value)
    return collector.whole(), collector.title


def _lexbor(html: str, parser: Any) -> tuple[str, str]:
    """Walk the tree that a browser would build, without recursion."""
    tree = parser(html)
    collector = _Collector()
    node = tree.root
    # To compare nodes would be to compare all they hold.
    root = node.mem_id if node else 0
    down = True
    while node is not None:
        tag = node.tag or "-instruction"  # <?php ... ?>, which has no name
        if down:
            if tag == "-text":
                collector.text(node.text_content or "")
            elif tag not in SKIPPED:
                collector.begin(tag)
                if node.child is not None:
                    node = node.child
                    continue
        if tag not in SKIPPED and not tag.startswith("-"):
            collector.end(tag)
        if node.mem_id == root:
            break
        down = node.next is not None
        node = node.next if down else node.parent
    title = tree.css_first("title")
    return collector.whole(), title.text() if title else ""


def text_of_html(html: str) -> tuple[str, str]:
    r"""Return the visible text and the title; selectolax parses where it is installed.

    >>> text_of_html("<title>T</title><p>One<b>!</b></p><script>no</script><p>Two")
    ('One!\n\nTwo', 'T')
    """
    try:
        from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415  # an extra
    except ImportError:
        return _standard(html)
    if html.count("<") > DEEP and _depth(html) > DEEP:
        return _standard(html)
    return _lexbor(html, LexborHTMLParser)


def _depth(html: str) -> int:
    """Return how deeply elements nest, or a little more."""
    depth = deepest = 0
    for tag in _TAG.finditer(html):
        if tag[2].lower() not in _SHALLOW:
            depth = max(0, depth - 1) if tag[1] else depth + 1
            deepest = max(deepest, depth)
    return deepest


class HtmlReader(Reader[Record]):
    """One HTML document as one record; its title is in the metadata."""

    format = "html"

    def __init__(self, path: Path, asked: Asked) -> None:
        super().__init__(path, self._records, asked.from_the_beginning())

    def _place_after(self, record: Record) -> tuple[int, int]:
        return 0, record.line

    def _records(self, source: ByteSource) -> Iterator[Sequence[Record]]:
        if self._cursor:
            return  # it stands after the one document
        limit = self.limits.max_record_bytes
        text = TextSource(source, on_error=self._on_error, encoding=self._encoding)
        parts: list[str] = []
        end = 0
        for record in text.records():
            parts.append(record.text)
            end = record.end
            if end > limit:
                reason = f"the document holds more than max_record_bytes={limit}"
                error = OversizeError(self.source, 0, 1, reason)
                settle_oversize(error, self.limits.on_oversize, self._on_error)
                return
        body, title = text_of_html("".join(parts))
        metadata = {"title": " ".join(title.split())} if title.strip() else {}
        yield (Record(self.source, body, 0, end, 1, "", metadata),)


class read_html(Reader[str]):  # noqa: N801  # used as a function; closes as an object
    """Yield the visible text of an HTML document.

    Holds the document, at most ``limits.max_record_bytes``. The extra ``html`` parses
    as browsers do; without it the standard library's parser does.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: Limits | None = None,
        on_error: OnError = "raise",
        encoding: str = "utf-8",
    ) -> None:
        super().__init__(path, self._texts, Asked(limits, on_error, encoding))

    def _texts(self, source: ByteSource) -> Iterator[Sequence[str]]:
        records = self.records()
        for batch in records._records(source):  # noqa: SLF001  # its own twin
            yield [record.text for record in batch]

    def records(self) -> HtmlReader:
        """Yield the document as one ``Record``."""
        return HtmlReader(self.path, self._asked)
