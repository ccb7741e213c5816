"""Sources that are no file: standard input, and records of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer
from stored import texts

from aip_pipeline import ConfigError, RecordSource, ingest
from aip_pipeline._fingerprint import fingerprint
from aip_pipeline._sources import check_sources
from aip_readers import Record


def rows(*names: str) -> Iterator[Record]:
    for n, name in enumerate(names):
        text = f"row {name}"
        yield Record("db://notes", text, n, n + 1, n + 1, name, {"name": name})


async def run(
    tmp_path: Path, server: OpenAIServer, *sources: str | RecordSource
) -> Any:
    return await ingest(
        sources,
        store=f"sqlite:///{tmp_path}/s.db",
        embedder="openai:test",
        base_url=server.base_url,
    )


async def test_records_of_ones_own_beside_files(
    tmp_path: Path, server: OpenAIServer
) -> None:
    (tmp_path / "a.txt").write_text("file a")
    (tmp_path / "b.txt").write_text("file b")
    mine = RecordSource(uri="db://notes", records=rows("x", "y"))
    report = await run(
        tmp_path, server, str(tmp_path / "a.txt"), mine, str(tmp_path / "b.txt")
    )
    assert (report.sources, report.stored) == (3, 4)
    assert texts(tmp_path / "s.db") == ["file a", "file b", "row x", "row y"]


def test_sources_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    check_sources([str(tmp_path / "*.txt"), str(tmp_path), "-"])
    with pytest.raises(ConfigError, match="no source given"):
        check_sources([])
    with pytest.raises(ConfigError, match=r"matches no file.*check the path"):
        check_sources([str(tmp_path / "*.md")])
    url = "s3://key:secret@bucket/notes.jsonl?signature=1"
    with pytest.raises(ConfigError, match=r"source s3://\*\*\*@bucket/notes.jsonl is"):
        check_sources([url, url])


def test_a_file_that_vanished_has_no_version(tmp_path: Path) -> None:
    assert fingerprint(str(tmp_path / "gone"), reading="") is None
    assert fingerprint(str(tmp_path), reading="") is None


async def test_a_path_object_is_a_source(tmp_path: Path, server: OpenAIServer) -> None:
    (tmp_path / "a.txt").write_text("file a")
    store = f"sqlite:///{tmp_path}/s.db"
    for given in (tmp_path / "a.txt", [tmp_path / "a.txt"]):
        report = await ingest(
            given, store=store, embedder="openai:test", base_url=server.base_url
        )
        assert report.read == 1


async def test_a_known_fingerprint_is_not_read_again(
    tmp_path: Path, server: OpenAIServer
) -> None:
    begun = 0

    def begin() -> Iterator[Record]:
        nonlocal begun
        begun += 1
        return rows("x", "y")

    for version, reads in (("v1", 1), ("v1", 1), ("v2", 2)):
        source = RecordSource(uri="db://notes", records=begin, fingerprint=version)
        report = await run(tmp_path, server, source)
        assert begun == reads
        assert report.read == 2
    assert server.times_embedded("row x") == 1


async def test_records_without_fingerprint_replace_the_last_and_pay_for_new_text(
    tmp_path: Path, server: OpenAIServer
) -> None:
    await run(tmp_path, server, RecordSource(uri="db://n", records=rows("x", "y")))
    report = await run(
        tmp_path, server, RecordSource(uri="db://n", records=rows("y", "z"))
    )
    assert (report.embedded, report.stored) == (1, 2)
    assert texts(tmp_path / "s.db") == ["row y", "row z"]


LATIN = {
    "a.txt": "café one",
    "b.log": "café two\n",
    "c.jsonl": '{"text": "café three"}\n',
    "d.csv": "text\ncafé four\n",
    "e.tsv": "text\tn\ncafé five\t1\n",
    "f.html": "<p>café six</p>",
}


async def test_every_format_of_text_is_read_in_the_encoding_that_is_named(
    tmp_path: Path, server: OpenAIServer
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in LATIN.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    (folder / "g.txt").write_bytes("café seven".encode("utf-8-sig"))  # its mark wins
    used: dict[str, Any] = {"base_url": server.base_url, "embedder": "openai:test"}
    used["store"] = f"sqlite:///{tmp_path}/s.db"
    assert (await ingest(str(folder), **used)).dead == len(LATIN)
    report = await ingest(str(folder), **used, encoding="latin-1")
    assert (report.dead, report.stored) == (0, 7)
    words = ("one", "two", "three", "four", "five", "six", "seven")
    assert texts(tmp_path / "s.db") == [f"café {word}" for word in words]
    again = await ingest(str(folder), **used, encoding="ISO-8859-1")
    assert (again.unchanged, again.embedded) == (7, 0)


def test_standard_input_is_jsonl(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"text": f"line {n}"}) for n in range(3))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "aip_pipeline", "ingest", "-", "--json"],
            cwd=tmp_path,
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(done.stdout)["stored"] == 3
    assert texts(tmp_path / "aip.db") == ["line 0", "line 1", "line 2"]
