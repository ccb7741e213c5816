"""Every link of a page leads somewhere; what a page names as a test is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "packages/*/*.md", "labs/*.md")
    for page in ROOT.glob(pattern)
    if "_build" not in page.parts
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
NAMED_TEST = re.compile(r"`(test_\w+)`")
OUTSIDE = "https://", "http://", "mailto:"


def anchors(text: str) -> set[str]:
    """Give the anchors of a page's headings, as GitHub and MyST make them."""
    plain = (re.sub(r"[`*]", "", found).lower() for found in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in plain}


def broken_links(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for link in LINK.findall(text):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        found = target.exists()
        if found and anchor:
            whole = target.read_text(encoding="utf-8")
            found = anchor in anchors(FENCED.sub("", whole))
        if not found:
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(ROOT / page) == []


def test_a_broken_link_and_a_missing_anchor_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Two words, `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#two-words-code) [c](https://example.org)\n"
        "[d](gone.md) [e](other.md#gone)\n```\n[f](gone.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "other.md#gone"]


def test_every_test_that_a_page_names_is_there() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("packages/*/tests", "labs/tests", "docs/tests")
        for path in ROOT.glob(f"{folder}/**/*.py")
    )
    known = set(re.findall(r"def (test_\w+)\(", sources))
    named = {
        name
        for page in PAGES
        for name in NAMED_TEST.findall((ROOT / page).read_text(encoding="utf-8"))
        if "." not in name
    }
    assert named
    assert named - known == set()


def test_every_law_has_a_page_with_tests() -> None:
    laws = sorted((ROOT / "docs/laws").glob("[!i]*.md"))
    texts = [page.read_text(encoding="utf-8") for page in laws]
    assert sorted(text[:4] for text in texts) == [f"# {n}." for n in range(1, 10)]
    assert all(NAMED_TEST.search(text) for text in texts)
