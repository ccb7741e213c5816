from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "check_site.py"


@pytest.fixture
def check_site() -> Any:
    spec = importlib.util.spec_from_file_location("check_site", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_broken_links_anchors_and_outside_files_are_found(
    check_site: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text(
        '<p id=here><a href="b.html#there">b</a><a href="#here">a</a>'
        '<a href="https://example.org">out</a><a href="gone.html">gone</a>'
        '<a href="b.html#gone">gone</a><script src="https://example.org/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    said = [fault.partition(": ")[2] for fault in check_site.faults(tmp_path)]
    assert said == [
        "loads https://example.org/x.js",
        "gone.html: no such file",
        "b.html#gone: no such anchor",
    ]


def test_a_site_without_pages_is_a_fault(check_site: Any, tmp_path: Path) -> None:
    assert check_site.faults(tmp_path) == [f"{tmp_path}: no page"]
