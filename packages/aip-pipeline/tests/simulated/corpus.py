"""Small corpora with something of everything in them, and what they must become."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from simulated.server import POISON

from aip_pipeline import IngestSettings, RecordSource
from aip_pipeline._sources import Source
from aip_readers import ReadError, Record, open_records, split

STREAM = "db://notes"


@dataclass(slots=True)
class Corpus:
    """Files of a folder and a stream, as they were and as they are.

    Attributes:
        versions: by source, what each version must be in a store: its good texts.
        edited: whether there was more than one version of anything.
    """

    folder: Path
    random: Random
    settings: IngestSettings
    versions: dict[str, list[list[str]]] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    edited: bool = False

    def write(self) -> None:
        """Write the first version of everything."""
        draw = self.random
        self.folder.mkdir()
        for name in "abc"[: draw.randint(1, 3)]:
            self._put(f"{name}.jsonl", self._jsonl(draw.choice([1, 8, 30])))
        if draw.random() < 0.7:
            self._put("d.txt", self._prose(draw.choice([1, 10, 80])))
        if draw.random() < 0.3:
            self._put("e.txt", self._prose(6) + b" then caf\xe9")
        if draw.random() < 0.3:
            self._put("f.csv", b"id,text\n1,first row\n2,second row\n")
        if draw.random() < 0.2:
            self._put("g.txt", b"")
        if draw.random() < 0.3:
            self.rows = [f"row {n}" for n in range(draw.choice([3, 30]))]
            self.versions[STREAM] = [self.rows]

    def sources(self) -> list[Source]:
        """Return what a run is given."""
        if not self.rows:
            return [str(self.folder)]
        made = RecordSource(uri=STREAM, records=self._records, fingerprint="v1")
        return [str(self.folder), made]

    def edit(self) -> None:
        """Change a file, take one away, or add one."""
        draw = self.random
        self.edited = True
        names = sorted(path.name for path in self.folder.iterdir())
        name = draw.choice([*names, "new.jsonl"])
        path = self.folder / name
        if draw.random() < 0.3 and len(names) > 1 and path.exists():
            path.unlink()
        elif name.endswith(".jsonl"):
            lines = path.read_bytes().splitlines() if path.exists() else []
            lines.insert(draw.randint(0, len(lines)), self._line())
            self._put(name, b"\n".join(lines[draw.randint(0, 1) :]) + b"\n")
        elif name.endswith(".txt"):
            self._put(name, self._prose(draw.choice([2, 40])))

    def _put(self, name: str, content: bytes) -> None:
        path, new = self.folder / name, self.folder.parent / "new"
        new.write_bytes(content)
        os.replace(new, path)  # noqa: PTH105  # another file, so another version
        self.versions.setdefault(str(path), []).append(self._good_texts(path))

    def _good_texts(self, path: Path) -> list[str]:
        """Read a file as a run does, without the run."""
        found = []
        try:
            with open_records(str(path), text_field="text", on_error="skip") as records:
                size, overlap = self.settings.chunk_size, self.settings.chunk_overlap
                for chunk in split(records, size=size, overlap=overlap):
                    found.append(chunk.text)  # noqa: PERF401  # kept when it fails
        except ReadError:
            pass
        return [text for text in found if POISON not in text]

    def _jsonl(self, count: int) -> bytes:
        return b"\n".join(self._line() for _ in range(count)) + b"\n"

    def _line(self) -> bytes:
        draw = self.random
        kind = draw.random()
        if kind < 0.03:
            return b'{"text": oops}'
        if kind < 0.05:
            return b'{"text": "\xff"}'
        text = f"text {draw.randint(0, 400)} " + "word " * draw.randint(0, 20)
        if kind < 0.07:
            text = f"{POISON} {draw.randint(0, 3)}"
        more = {"n": draw.randint(0, 9)} if draw.random() < 0.2 else {}
        return json.dumps({"text": text, **more}).encode()

    def _prose(self, sentences: int) -> bytes:
        draw = self.random
        each = (f"sentence {draw.randint(0, 10**6)} of it. " for _ in range(sentences))
        return "".join(each).encode()

    def _records(self) -> list[Record]:
        return [
            Record(STREAM, text, n, n + 1, n + 1, str(n), {})
            for n, text in enumerate(self.rows)
        ]
