"""What the help of each command says is true: its examples run, its names complete."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command import Aip

from aip_pipeline.cli._main import aip as root

README = Path(__file__).parents[1] / "README.md"
EXAMPLE = re.compile(r"^ +((?:[A-Z_]+=\S+ )*)aip (.+?)(?:  +.*)?$", re.MULTILINE)
SOURCE_DONE_WITH_LETTERS = 3


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            found = group.get_command(ctx, name)
            assert found is not None
            if isinstance(found, click.Group):
                yield from commands(found, (*path, name))
            else:
                yield (*path, name), found


COMMANDS = list(commands(root))


@pytest.fixture
def project(aip: Aip) -> Aip:
    """Give the folder that the examples speak of, with one thing that is damaged."""
    (aip.folder / "docs").mkdir()
    (aip.folder / "docs" / "a.md").write_text("# Resume\n\nRun it again.")
    (aip.folder / "README.md").write_bytes(b"Retry-After is obeyed. caf\xe9")
    (aip.folder / "logs").mkdir()
    with gzip.open(aip.folder / "logs" / "a.jsonl.gz", "wt") as log:
        log.write('{"message": "a log line"}\n')
    assert aip("ingest", "docs", "README.md").code == SOURCE_DONE_WITH_LETTERS
    return aip


@pytest.mark.parametrize(
    ("path", "command"),
    COMMANDS,
    ids=lambda p: "-".join(p) if isinstance(p, tuple) else "",
)
def test_help_teaches_with_examples_that_run(
    project: Aip,
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[str, ...],
    command: click.Command,
) -> None:
    shown = project(*path, "--help")
    assert (shown.code, shown.err) == (0, "")
    examples = EXAMPLE.findall(shown.out)
    assert examples, "no example"
    for param in command.params:
        assert isinstance(param, click.Argument) or getattr(param, "help", None)
    for variables, words in examples:
        if "openai:" in words:
            continue  # it would need a server
        for name, value in (pair.split("=", 1) for pair in variables.split()):
            monkeypatch.setenv(name, value)
        line = re.split(r" [>|] ", words)[0]
        ran = project(*shlex.split(line))
        # One of the sources is damaged, so a retry leaves something dead.
        expected = {0, SOURCE_DONE_WITH_LETTERS} if path[:1] != ("search",) else {0}
        assert ran.code in expected, f"aip {line}: {ran.err}"


@pytest.mark.parametrize("path", [("dead", "list"), ("verify",)])
def test_help_says_where_json_comes_in_lines(aip: Aip, path: tuple[str, ...]) -> None:
    assert "Print JSON lines on stdout" in aip(*path, "--help").out
    assert "Print JSON on stdout" in aip("status", "--help").out


def test_a_group_without_a_command_prints_its_help(aip: Aip) -> None:
    for path in ((), ("dead",)):
        shown = aip(*path)
        assert (shown.code, shown.err) == (0, "")
        assert shown.out == aip(*path, "--help").out


def complete(words: str, *, shell: str = "bash") -> list[str]:
    env = {"_AIP_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    ran = subprocess.run(
        [Path(sys.executable).with_name("aip")],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_names_of_commands_and_options_complete() -> None:
    assert complete("aip dead s") == ["plain,show"]
    assert complete("aip ingest --chunk-s") == ["plain,--chunk-size"]
    assert complete("aip ingest READ") == ["file,READ"]


def test_a_broken_settings_file_does_not_stop_completion(tmp_path: Path) -> None:
    (tmp_path / "aip.toml").write_text("nonsense")
    code = "import os, sys; os.chdir(sys.argv[1]); import aip_pipeline.__main__"
    env = {"_AIP_COMPLETE": "bash_complete", "COMP_WORDS": "aip status --st"}
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        env=os.environ | env | {"COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["plain,--store"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_readme_names_each_shell_that_a_script_is_made_for(shell: str) -> None:
    if README.exists():  # an installed wheel is tested beside it, an sdist too
        assert f"_AIP_COMPLETE={shell}_source aip" in README.read_text()
    ran = subprocess.run(
        [Path(sys.executable).with_name("aip")],
        env=os.environ | {"_AIP_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"_AIP_COMPLETE={shell}_complete" in ran.stdout


def test_commands_complete_without_importing_them() -> None:
    code = (
        "import sys; from aip_pipeline.cli._main import aip\n"
        "import click\n"
        "print([c.value for c in aip.shell_complete(click.Context(aip), 's')])\n"
        "print(sorted({'numpy', 'aiohttp', 'sqlite3'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["['search', 'status']", "[]"]
