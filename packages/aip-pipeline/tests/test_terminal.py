"""What comes from outside is shown, and commands nothing."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from command import Aip
from openai_server import OpenAIServer
from served import Served

import aip_pipeline.cli

EVIL = "e\x1b[31m\x07\n\r\t\x9b2J\u202evil"
SHOWN = "e\\x1b[31m\\x07\\n\\r\\t\\x9b2J\\u202evil"
OBEYED = {chr(n) for n in [*range(32), *range(127, 160), 0x2028, 0x202E]} - {"\n"}


@pytest.fixture
def notes(aip: Aip) -> Path:
    """Hold a passage, a refused one and an unreadable one, all of evil names."""
    made = aip.folder / "in"
    made.mkdir()
    (made / f"{EVIL}.md").write_text(f"tea {EVIL} time")
    (made / f"{EVIL}.jsonl").write_text('{"text": "POISON \\u001b[2J"}\n{oops}\n')
    (made / f"x.{EVIL}").touch()
    return made


def test_no_name_no_text_and_no_answer_commands_the_terminal(
    aip: Aip, notes: Path
) -> None:
    store = f"sqlite:///{EVIL}.db"
    server = OpenAIServer(poison="POISON", said=f"no {EVIL}")
    with Served(server):
        used = ("--embedder", "openai:test", "--base-url", server.base_url)
        ran = {
            "plan": aip("plan", "in", "--store", store, *used),
            "ingest": aip("ingest", "in", "--store", store, "--clean", "none", *used),
            "search": aip("search", "tea", "--store", store),
            "retry": aip("dead", "retry", "--store", store),
        }
        as_json = aip("search", "tea", "--store", store, "--json", "-k1")
        (notes / f"{EVIL}.md").unlink()
        ran["vanished"] = aip("ingest", "in", "--store", store, *used)
        ran["pruned"] = aip("ingest", "in", "--prune", "--store", store, *used)
    for command in (["list"], ["show", "1"], ["show", "2"]):
        ran[command[-1]] = aip("dead", *command, "--store", store)
    ran["status"] = aip("status", "--store", store)
    ran["verify"] = aip("verify", "--store", store)
    ran["missing"] = aip("ingest", f"no {EVIL}", f"--{EVIL}")
    for name, done in ran.items():
        assert not OBEYED & {*done.out, *done.err}, name
        assert SHOWN in done.out + done.err, name
    assert f"{SHOWN}.md:1" in ran["search"].out.splitlines()[0]
    assert "dead: " in ran["ingest"].err
    assert len(ran["list"].lines) == 2
    (hit,) = json.loads(as_json.out)
    assert hit["source"] == str(notes / f"{EVIL}.md"), "JSON says it as it is"


def test_lines_and_tabs_of_a_dead_text_are_kept(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("one\ttwo\nPOISON \x1b[2J")
    with Served(OpenAIServer(poison="POISON")) as server:
        used = ("--embedder", "openai:test", "--base-url", server.base_url)
        aip("ingest", "a.txt", "--clean", "none", *used)
    assert aip("dead", "show", "1").out.endswith("\none\ttwo\nPOISON \\x1b[2J\n")


def test_a_terminal_is_told_as_little(notes: Path) -> None:
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "aip_pipeline", "ingest", "in"]
    done = subprocess.run(
        command, cwd=notes.parent, stdout=subprocess.PIPE, stderr=writer, check=False
    )
    os.close(writer)
    said = b""
    with suppress(OSError):  # it is at its end
        while True:
            said += os.read(reader, 65536)
    os.close(reader)
    assert done.returncode == 3
    assert b"\\x1b[31m\\x07" in said.replace(b"\r\n", b"")
    assert b"\x07" not in said
    assert b"\x1b[31m" not in said


def test_everything_is_printed_at_one_place() -> None:
    folder = Path(aip_pipeline.cli.__file__).parent
    printing = ("click.echo(", "click.secho(", "print(", "console.print(")
    for path in folder.glob("*.py"):
        if path.name == "_printing.py":
            continue
        for line in path.read_text().splitlines():
            if any(f" {how}" in f" {line.strip()}" for how in printing):
                assert "get_help()" in line or "_status.console" in line, line
