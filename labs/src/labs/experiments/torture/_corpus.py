"""What is ingested: numbered passages, so that a lost one can be named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from labs._corpus import PROSE

POISON = "xylotoxin"
PASSAGE_CHARS = 850
NUMBER = re.compile(r"\bpassage-(\d+)\b")
BAD_BYTE = "é".encode("latin-1")
WORDS = PROSE.split()


def passage(number: int) -> str:
    """Write one passage: its number, then prose that is its own, without a break.

    >>> passage(7)[:12], len(passage(7)) < 900
    ('passage-0007', True)
    """
    random = Random(number)
    text = f"passage-{number:04}"
    while len(text) < PASSAGE_CHARS:
        text += f" {random.choice(WORDS)}"
    return f"{text}."


def numbers_in(text: str) -> set[int]:
    """Give the numbers of the passages that *text* holds the beginning of."""
    return {int(found) for found in NUMBER.findall(text)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A folder with one long book and many notes of one passage each.

    Args:
        folder: where it is.
        book: how many passages the book has, numbered from 0.
        notes: how many notes there are, numbered after the book.
    """

    folder: Path
    book: int
    notes: int

    @classmethod
    def write(cls, folder: Path, *, book: int, notes: int) -> Corpus:
        """Write the files."""
        folder.mkdir(parents=True)
        made = cls(folder=folder, book=book, notes=notes)
        made.write_book(range(book))
        for number in range(book, book + notes):
            made.note(number).write_text(passage(number), encoding="utf-8")
        return made

    @property
    def passages(self) -> frozenset[int]:
        """All numbers."""
        return frozenset(range(self.book + self.notes))

    def note(self, number: int) -> Path:
        """Give the file of one note."""
        return self.folder / f"note-{number:04}.txt"

    def write_book(self, numbers: Iterable[int]) -> None:
        """Write the book, with these passages."""
        text = "\n\n".join(map(passage, numbers))
        (self.folder / "book.txt").write_text(text, encoding="utf-8")

    def copy(self, folder: Path) -> Corpus:
        """Copy it, times of change and all; the copy may be changed."""
        shutil.copytree(self.folder, folder)
        return Corpus(folder=folder, book=self.book, notes=self.notes)


def write_lines(folder: Path, numbers: Sequence[int], *, broken: int) -> Path:
    """Write JSON lines of which the one of number *broken* is cut short."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"text": passage(number)}) for number in numbers]
    lines[broken] = lines[broken][:200]
    path = folder / "lines.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def spoil(note: Path) -> None:
    """Put one byte into the middle of *note* that is not UTF-8."""
    raw = note.read_bytes()
    half = len(raw) // 2
    note.write_bytes(raw[:half] + BAD_BYTE + raw[half:])
