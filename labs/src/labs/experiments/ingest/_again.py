"""A second run: unchanged, one document edited, every file renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labs._form import Form
from labs._measure import scratch
from labs._result import Row
from labs.experiments.ingest._client import Server, aip, run, serving
from labs.experiments.ingest._corpus import Writing
from labs.experiments.ingest._cost import check
from labs.experiments.ingest._stored import live_texts

DOCUMENTS, SENTENCES = 100, 400
FILES = 1000


def again(form: Form) -> tuple[Row, ...]:
    """Run twice, with and without changes between; count what is paid again."""
    with serving() as server:
        return (
            _edited(server, documents=form.pick(quick=10, whole=DOCUMENTS)),
            *_same_texts(server, files=form.pick(quick=100, whole=FILES)),
        )


def _edited(server: Server, *, documents: int) -> Row:
    writing = Writing(1)
    with scratch() as folder:
        sources = folder / "documents"
        sources.mkdir()
        for number in range(documents):
            text = writing.sentences(SENTENCES)
            (sources / f"{number}.txt").write_text(text, encoding="utf-8")
        _ingest(sources, folder, server)
        before = live_texts(folder / "store.db")
        edited = sources / f"{documents // 2}.txt"
        text = edited.read_text(encoding="utf-8")
        middle = text.index(". ", len(text) // 2)
        changed = f"{text[:middle]}, which was added later{text[middle:]}"
        edited.write_text(changed, encoding="utf-8")
        told = _ingest(sources, folder, server)
        new = live_texts(folder / "store.db") - before
    chunks = told["read"] // documents
    return Row(
        work=f"1 of {documents} documents edited: texts embedded",
        reference=f"{chunks} chunks a document",
        bar="the changed chunks",
        measured=f"{told['embedded']} for {len(new)} changed",
        met=0 < told["embedded"] == len(new),
    )


def _same_texts(server: Server, *, files: int) -> tuple[Row, Row]:
    writing = Writing(2)
    with scratch() as folder:
        sources = folder / "before"
        sources.mkdir()
        for number in range(files):
            path = sources / f"{number}.txt"
            path.write_text(writing.text(number), encoding="utf-8")
        first = _ingest(sources, folder, server)
        same = _ingest(sources, folder, server)
        for path in list(sources.iterdir()):
            path.rename(path.with_stem(f"renamed-{path.stem}"))
        renamed = _ingest(sources, folder, server)
    if not same["unchanged"] == same["read"] == first["stored"] >= files:
        raise RuntimeError(f"not all was seen to be unchanged: {same}")
    return (
        _free(f"{files:,} files unchanged", first, same),
        _free(f"{files:,} files renamed", first, renamed),
    )


def _free(work: str, first: dict[str, Any], told: dict[str, Any]) -> Row:
    """Judge a run that had nothing new to pay for."""
    return Row(
        work=f"{work}: texts embedded, requests",
        reference=f"{first['embedded']:,} the first time",
        bar="0, 0",
        measured=f"{told['embedded']:,}, {told['requests']:,}",
        met=told["read"] >= first["read"] and not told["embedded"] + told["requests"],
    )


def _ingest(source: Path, folder: Path, server: Server) -> dict[str, Any]:
    done = run(aip(source, folder / "store.db", server.url), folder)
    check(done)
    return done.told
