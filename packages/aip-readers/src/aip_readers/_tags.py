"""HTML as a row of tags and texts, in linear time whatever the input.

The standard library's parser takes minutes for 100 KB of ``<a <a <a`` and stops with an
AssertionError at ``<![``; this one knows less, and what it knows follows the tokenizer
of https://html.spec.whatwg.org/multipage/parsing.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal, NamedTuple

# Atomic groups and possessive repeats: no pattern goes back over what it has seen.
_OPEN = re.compile(r"<([a-zA-Z][^\s/>]*+)")
_CLOSE = re.compile(r"</([a-zA-Z][^\s/>]*+)[^>]*+>")
_ATTRIBUTES = re.compile(
    r"""(?>[^>"'=]++|=\s*+"[^"]*+"|=\s*+'[^']*+'|[="'])*+>""",
)
_COMMENT = re.compile(r"<!---?>|<!--.*?--!?>", re.DOTALL)
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed")
}
_ESCAPABLE = frozenset({"textarea", "title"})


class Token(NamedTuple):
    """A start tag or an end tag (its name in lower case), or text."""

    kind: Literal["start", "end", "text"]
    value: str


def tokens(html: str) -> Iterator[Token]:
    """Yield the tags and the text of a document; comments and attributes are dropped.

    >>> [token.value for token in tokens("<B a='>'>x &lt;<!-- - --></b>")]
    ['b', 'x <', 'b']
    """
    at = 0
    while at < len(html):
        found = html.find("<", at)
        if found != at:
            end = len(html) if found < 0 else found
            yield Token("text", unescape(html[at:end]))
            at = end
            continue
        if tag := _OPEN.match(html, at):
            rest = _ATTRIBUTES.match(html, tag.end())
            if rest is None:
                return
            name, at = tag[1].lower(), rest.end()
            yield Token("start", name)
            if name in _RAW:
                end = _raw_end(html, name, at)
                if end > at:
                    raw = html[at:end]
                    yield Token("text", unescape(raw) if name in _ESCAPABLE else raw)
                at = end
        elif tag := _CLOSE.match(html, at):
            yield Token("end", tag[1].lower())
            at = tag.end()
        elif html.startswith(("<!", "<?", "</"), at):
            at = _comment_end(html, at)
        else:
            yield Token("text", "<")
            at += 1


def _raw_end(html: str, name: str, at: int) -> int:
    end = _RAW[name].search(html, at)
    return end.start() if end else len(html)


def _comment_end(html: str, at: int) -> int:
    """Return where a comment ends, or what is taken for one; else all is comment."""
    if html.startswith("<!--", at):
        comment = _COMMENT.match(html, at)
        return comment.end() if comment else len(html)
    end = html.find(">", at)
    return end + 1 if end >= 0 else len(html)
