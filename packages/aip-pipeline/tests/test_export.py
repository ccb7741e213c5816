from __future__ import annotations

import json
import sqlite3
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from command import Aip, aip_process

from aip_pipeline import StoreError, export, ingest_sync
from aip_pipeline._export import json_line
from aip_pipeline.stores import Part, SqliteStore, Write
from aip_readers import Chunk, reread

FIELDS = ["id", "source", "start", "end", "line", "text", "vector", "metadata"]


def fill(path: Path, *, chunks: int) -> str:
    """Make a store of many chunks with their vectors, without an embedder."""
    array = np.random.default_rng(5).normal(size=(chunks, 64)).astype(np.float32)
    names = [f"{n:016}".encode() for n in range(chunks)]
    rows = [
        Chunk("/a", f"text {n} " * 20, n, n + 1, None, n, {}, n + 1)
        for n in range(chunks)
    ]
    part = Part(uri="/a", fingerprint="v1", restart=True, last=True)
    part.chunks, part.hashes = rows, names
    with SqliteStore(path) as store:
        store.claim(spec="local", base_url=None, fulltext=False)
        vectors = [
            (name, row.tobytes()) for name, row in zip(names, array, strict=True)
        ]
        store.commit(Write(vectors=vectors, parts=[part]))
    return f"sqlite:///{path}"


def test_the_encoding_of_a_text_is_metadata_as_an_object(aip: Aip) -> None:
    (aip.folder / "a.txt").write_bytes("Knead the caf\xe9.".encode("latin-1"))
    ingest_sync([str(aip.folder / "a.txt")], encoding="latin-1")
    (line,) = aip("export").lines
    assert json.loads(line)["metadata"] == {"encoding": "iso8859-1"}


def test_every_line_is_a_chunk_with_its_bytes_and_its_vector(aip: Aip) -> None:
    (aip.folder / "a.txt").write_text("Knead the dough.")
    (aip.folder / "b.jsonl").write_text('{"text": "caf\\u00e9", "id": 7}\n')
    ingest_sync([str(aip.folder / "a.txt"), str(aip.folder / "b.jsonl")])
    ran = aip("export")
    assert (ran.code, ran.err) == (0, "")
    first, second = map(json.loads, ran.lines)
    assert list(first) == FIELDS
    assert list(second) == [*FIELDS[:5], "within", *FIELDS[5:]]
    assert reread(first["source"], first["start"], first["end"]) == b"Knead the dough."
    assert (second["text"], second["within"]) == ("café", [0, 4])
    assert json.loads(reread(second["source"], second["start"], second["end"]))
    kept = [np.frombuffer(chunk.vector, np.float32) for chunk in export()]
    for line, vector in zip((first, second), kept, strict=True):
        assert np.array_equal(np.array(line["vector"], np.float32), vector)


def test_an_id_outlives_a_new_version_but_not_a_new_text(aip: Aip) -> None:
    notes = aip.folder / "a.jsonl"
    notes.write_text('{"text": "one"}\n{"text": "two"}\n')
    ingest_sync(str(notes))
    before = [chunk.id for chunk in export()]
    notes.write_text('{"text": "one"}\n{"text": "another"}\n')
    ingest_sync(str(notes))
    after = [chunk.id for chunk in export()]
    assert len(set(before)) == len(set(after)) == 2
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_a_file_appears_only_when_it_is_whole(aip: Aip) -> None:
    fill(aip.folder / "aip.db", chunks=20)
    assert aip("export", "--output", "out.jsonl").code == 0
    assert (aip.folder / "out.jsonl").read_text() == aip("export").out
    with sqlite3.connect(aip.folder / "aip.db") as db:
        db.execute("DELETE FROM embedding WHERE id = 15")
    db.close()
    failed = aip("export", "--output", "later.jsonl")
    assert failed.code == 1
    assert "chunk 14 of /a has no vector" in failed.err
    assert "aip verify --repair" in failed.err
    assert not list(aip.folder.glob("later*"))


async def test_a_reader_that_has_enough_is_no_failure(aip: Aip) -> None:
    fill(aip.folder / "aip.db", chunks=2000)
    process = await aip_process("export")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["start"] == 0
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `head` does
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 0


def test_a_path_that_cannot_be_written_is_one_line(aip: Aip) -> None:
    fill(aip.folder / "aip.db", chunks=1)
    failed = aip("export", "-o", aip.folder / "gone" / "out.jsonl")
    assert failed.code == 1
    assert failed.err.startswith("aip: error: cannot write")
    assert len(failed.err.splitlines()) == 1


def test_a_number_that_json_cannot_carry_is_refused(tmp_path: Path) -> None:
    store = fill(tmp_path / "s.db", chunks=1)
    (entry,) = export(store)
    bad = np.array([1, np.nan], np.float32).tobytes()
    with pytest.raises(StoreError, match="not finite"):
        json_line(entry._replace(vector=bad))


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    peaks = []
    for count in (1000, 8000):
        store = fill(tmp_path / f"{count}.db", chunks=count)
        next(export(store))
        tracemalloc.start()
        total = sum(len(json_line(entry)) for entry in export(store))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total > 500 * count
    assert peaks[1] <= peaks[0] + 20_000, peaks
