"""Check the built site: every link and anchor inside it, and nothing from outside.

``python docs/check_site.py docs/_build`` tells what is broken, and exits with 1.
Links to other sites are not followed: the check needs no network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
FOLLOWED = {"a": "href"} | LOADED


class Page(HTMLParser):
    """What one page names, and what it points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.outside: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors and links of one element."""
        given = dict(attrs)
        self.anchors |= {given[name] or "" for name in ("id", "name") if name in given}
        link = given.get(FOLLOWED.get(tag, ""))
        if not link or link.startswith(("data:", "mailto:")):
            return
        if urlsplit(link).netloc:
            if tag in LOADED and given.get("rel") != "canonical":
                self.outside.append(link)
        else:
            self.links.append(link)


def faults(root: Path) -> list[str]:
    """Tell of each link that leads nowhere, and each file loaded from outside."""
    pages = {path.resolve(): Page(path) for path in sorted(root.rglob("*.html"))}
    found = [] if pages else [f"{root}: no page"]
    for page in pages.values():
        found += [f"{page.path}: loads {link}" for link in page.outside]
        for link in page.links:
            parts = urlsplit(link)
            target = page.path
            if parts.path:
                target = page.path.parent / unquote(parts.path)
            target = target.resolve()
            known = pages.get(target)
            if not target.exists():
                found.append(f"{page.path}: {link}: no such file")
            elif known and unquote(parts.fragment) not in known.anchors:
                found.append(f"{page.path}: {link}: no such anchor")
    return found


if __name__ == "__main__":
    broken = faults(Path(sys.argv[1]))
    said = "\n".join(broken) or "every link of the site leads somewhere"
    sys.stdout.write(f"{said}\n")
    sys.exit(bool(broken))
