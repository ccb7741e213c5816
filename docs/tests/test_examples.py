"""Every example of the READMEs and the docs runs here, as a reader would run it.

`console` blocks run in a shell, page by page, in a copy of what a clone holds;
what they print is compared with what the page shows. Numbers may differ (they are
measured anew) and `...` stands for anything. `python` blocks run as scripts, and
blocks with `>>>` are left to doctest. A block after `<!-- not run: WHY -->` is not
run.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "packages/*/README.md", "labs/*.md")
    for page in ROOT.glob(pattern)
)
FENCE = re.compile(
    r"(?P<skip><!-- not run: [^>]+-->\n+)?"
    r"^```(?P<kind>console|python)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND_TIMEOUT_S = 150.0
COPIED = "docs", "packages", "README.md"
NOT_COPIED = shutil.ignore_patterns("_build", "__pycache__", ".*", "*.db*", "dist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command or script of a page, and what the page shows of its output."""

    where: str
    argv: tuple[str, ...]
    shown: str


def steps_of(page: Path) -> Iterator[Step]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in FENCE.finditer(text):
        if block["skip"]:
            continue
        where = f"{page}:{text.count(chr(10), 0, block.start('body')) + 1}"
        if block["kind"] == "console":
            yield from commands(block["body"], where=where)
        elif ">>>" not in block["body"]:
            yield Step(
                where=where, argv=(sys.executable, "-c", block["body"]), shown=""
            )


def commands(body: str, *, where: str) -> Iterator[Step]:
    assert body.startswith("$ "), f"{where}: a console block starts with $"
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        command = "\n".join(lines[: last + 1])
        # The environment of this test is the one `uv run` would make.
        for prefix in ("pip install uv && ", "uv run "):
            command = command.replace(prefix, "")
        if command.startswith("pip install "):
            continue
        shell = ("bash", "-o", "pipefail", "-c", command)
        yield Step(where=where, argv=shell, shown="\n".join(lines[last + 1 :]))


def masked(text: str) -> str:
    """Write each number as #, so that only the words are compared.

    Which stage was slowest is a measurement too.
    """
    text = re.sub(r"bottleneck: \w+", "bottleneck: #", text)
    return re.sub(r"\d[\d,._]*", "#", text)


def agree(shown: str, printed: str) -> bool:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    checker = doctest.OutputChecker()
    return checker.check_output(masked(shown), masked(printed), options)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a folder that holds what the examples read in a clone."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_COPIED)
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_examples_run_and_print_what_the_page_shows(page: Path, clone: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1"}
    for step in steps_of(page):
        done = subprocess.run(
            step.argv,
            cwd=clone,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
        said = f"{step.where}: {step.argv[-1]}\nprinted:\n{done.stdout}"
        assert done.returncode == 0, f"exit code {done.returncode}: {said}"
        if step.shown:
            assert agree(step.shown, done.stdout), f"{said}\nshown:\n{step.shown}"


def test_a_page_that_shows_other_words_is_found_out() -> None:
    assert agree("stored 12 chunks\n...", "stored 9,871 chunks\nin 3 s\n")
    assert not agree("stored 12 chunks", "lost 12 chunks")


def test_commands_are_read_with_their_output_and_continuation() -> None:
    body = "$ uv run aip ingest \\\n  docs\n12 chunks\n$ true\n"
    first, second = commands(body, where="page:1")
    assert first.argv[-1] == "aip ingest \\\n  docs"
    assert first.shown == "12 chunks"
    assert second.shown == ""
