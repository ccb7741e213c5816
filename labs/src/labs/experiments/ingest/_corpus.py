"""The texts: JSONL of lognormal lengths, seeded, every text another."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

MEAN_CHARS = 1700
SIGMA = 0.9
LONG_EVERY, LONG_CHARS = 2000, 100_000
SENTENCES = 20_000
POISON = "this text is poison to the model"
# One sentence in 30 has words beyond ASCII, which makes a third of the texts so.
FOREIGN = ("café", "naïve", "Übergröße", "“quoted”", "Ελλάδα", "東京", "cafe\u0301")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One JSONL file, and how much it holds."""

    path: Path
    texts: int
    n_bytes: int


class Writing:
    """Make texts by stringing seeded sentences together."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        weights = [26 - place for place in range(26)]
        words = [
            "".join(random.choices(letters, weights, k=random.randint(2, 11)))
            for _ in range(8000)
        ]
        self._sentences = [self._sentence(words, n) for n in range(SENTENCES)]
        self._mean = sum(map(len, self._sentences)) / SENTENCES
        self._mu = math.log(MEAN_CHARS) - SIGMA**2 / 2

    def _sentence(self, words: list[str], number: int) -> str:
        chosen = self._random.choices(words, k=self._random.randint(5, 20))
        if number % 30 == 0:
            chosen[2] = self._random.choice(FOREIGN)
        end = ".\n\n" if number % 6 == 0 else ". "
        return " ".join(chosen).capitalize() + end

    def text(self, number: int) -> str:
        """Make the text of record *number*: lognormal, or long now and then."""
        chars: float = LONG_CHARS
        if number % LONG_EVERY != LONG_EVERY - 1:
            chars = self._random.lognormvariate(self._mu, SIGMA)
        return f"Record {number}. {self.sentences(max(1, round(chars / self._mean)))}"

    def sentences(self, count: int) -> str:
        """Make a text of so many sentences."""
        return "".join(self._random.choices(self._sentences, k=count)).rstrip()


def line(number: int, text: str) -> str:
    """Write one record as a line of JSONL."""
    return json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n"


def write_corpus(path: Path, *, n_bytes: int, seed: int = 0) -> Corpus:
    """Write records until the file has *n_bytes* (a little more at the end)."""
    writing, written, number = Writing(seed), 0, 0
    with path.open("wb") as file:
        while written < n_bytes:
            written += file.write(line(number, writing.text(number)).encode())
            number += 1
    return Corpus(path=path, texts=number, n_bytes=written)


def write_short(path: Path, *, texts: int, poison: int = 0) -> Corpus:
    """Write *texts* short records, of which *poison* hold what the server refuses."""
    bad = {(2 * n + 1) * texts // (2 * poison) for n in range(poison)}
    with path.open("w", encoding="utf-8") as file:
        for number in range(texts):
            said = POISON if number in bad else "and nothing is wrong with it"
            file.write(line(number, f"Record {number} is short, {said}."))
    return Corpus(path=path, texts=texts, n_bytes=path.stat().st_size)


def write_one_line(path: Path, *, n_bytes: int) -> Corpus:
    """Write a single record of *n_bytes*."""
    block = b"one line that does not end " * 40_000
    with path.open("wb") as file:
        file.write(b'{"id": 0, "text": "')
        for _ in range(max(1, n_bytes // len(block))):
            file.write(block)
        file.write(b'"}\n')
    return Corpus(path=path, texts=1, n_bytes=path.stat().st_size)
