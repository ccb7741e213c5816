"""What a store holds, beside what it should: lost, duplicated, wrong."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from labs.experiments.ingest._corpus import POISON, Corpus
from labs.experiments.ingest._vectors import digest, vectors

LIVE = """SELECT chunk.text, embedding.vector FROM chunk
    JOIN source ON source.id = chunk.source AND source.generation = chunk.generation
    LEFT JOIN embedding ON embedding.text_hash = chunk.text_hash"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Count what is not as it should be.

    Args:
        lost: texts of the corpus that no live chunk holds.
        duplicated: live chunks beyond one for each text.
        wrong: live chunks whose vector is missing or another text's.
    """

    lost: int = 0
    duplicated: int = 0
    wrong: int = 0

    def __add__(self, other: Harm) -> Harm:
        """Add two counts."""
        return Harm(
            lost=self.lost + other.lost,
            duplicated=self.duplicated + other.duplicated,
            wrong=self.wrong + other.wrong,
        )

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.lost or self.duplicated or self.wrong)

    def __str__(self) -> str:
        """Say it in one line."""
        twice = self.duplicated
        return f"{self.lost} lost, {twice} duplicated, {self.wrong} wrong vectors"


def harm(database: Path, corpus: Corpus) -> Harm:
    """Compare a store with the corpus it was fed, uncut and uncleaned.

    Texts that hold the poison are not expected.
    """
    with corpus.path.open("rb") as lines:
        texts = (json.loads(line)["text"] for line in lines)
        expected = Counter(digest(text) for text in texts if POISON not in text)
    wrong, found = 0, Counter[bytes]()
    with closing(reading(database)) as db:
        for text, vector in db.execute(LIVE):
            name = digest(text)
            found[name] += 1
            wrong += vector != vectors([name]).tobytes()
    return Harm(
        lost=(expected - found).total(),
        duplicated=(found - expected).total(),
        wrong=wrong,
    )


def live_texts(database: Path) -> set[str]:
    """Give the texts of the live chunks."""
    with closing(reading(database)) as db:
        return {text for text, _ in db.execute(LIVE)}


def count_vectors(database: Path) -> int:
    """Count the durable vectors; 0 where there is no store yet."""
    if not database.exists():
        return 0
    with closing(reading(database)) as db:
        try:
            (count,) = db.execute("SELECT count(*) FROM embedding").fetchone()
        except sqlite3.OperationalError:
            return 0  # killed before the tables were made
    return int(count)


def reading(database: Path) -> sqlite3.Connection:
    """Open a store without writing to it: a killed run's log stays as it is."""
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)
