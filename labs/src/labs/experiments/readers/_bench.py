"""Corpora, fresh processes, and ratios: what every part of the bench shares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from labs import MIB, Form, Row, Spread, spread
from labs._environment import NoEnvironment, environment

CHILD = Path(__file__).with_name("_child.py")
FLOORS = CHILD.with_name("_floors.py")
WANTED = (
    "aiofiles>=24.1",
    "backports.zstd>=1.0",
    "ftfy>=6.3",
    "isal>=1.7",
    "langchain-text-splitters>=0.3",
    "orjson>=3.10.7",
    "semantic-text-splitter>=0.20",
    "smart-open>=7",
)
PYTHON = ContextVar("PYTHON", default=sys.executable)
"""The interpreter of the fresh processes: of the peers' environment, inside `peers`."""
TIMEOUT_S = 900.0
WORDS = 20_000
NOT_ASCII = 0.08
ACCENTS = str.maketrans("aeiou", "äéîøü")
CYRILLIC = str.maketrans("abcdefghilmnoprstu", "абцдефгхилмнопрсту")
UNIT = 8 * MIB
"""Bytes of text that differ; files of any size repeat them."""
UNITS = 4
"""How many of each kind are kept: they take longer to make than to read."""
PADDING_BYTES = 2_832
SHORT_S, MORE = 0.2, 5
"""A work that takes less CPU than this is raced so many times as often."""


class Ran(NamedTuple):
    """What one fresh process cost."""

    cpu_s: float
    peak_bytes: int
    value: int


class Missing(Exception):
    """A peer is not installed."""


@contextmanager
def peers(form: Form) -> Iterator[None]:
    """Measure where the extras and the peers are, as far as uv can install them.

    The quick form, which needs no index, takes what is installed here.
    """
    python = sys.executable
    if form is not Form.QUICK:
        with suppress(NoEnvironment):  # each row then says what is missing
            python = str(environment("readers-peers", wanted=WANTED))
    token = PYTHON.set(python)
    try:
        yield
    finally:
        PYTHON.reset(token)


def environ(layout: int = 0) -> dict[str, str]:
    """Give the environment variables with which a peer's Python finds aip_readers.

    Each *layout* makes them longer, which puts buffers at other addresses. A copy of
    64 KiB takes up to a sixth longer at some: whoever measures with one environment
    measures its length (Mytkowicz et al., "Producing wrong data without doing anything
    obviously wrong!", ASPLOS 2009).
    """
    import aip_readers  # labs list imports every experiment

    path = str(Path(aip_readers.__file__).parents[1])
    padding = "x" * (layout * PADDING_BYTES)
    return os.environ | {"PYTHONPATH": path, "PADDING": padding}


def run(work: str, *args: object, warm: object = "-", layout: int = 0) -> Ran:
    """Do one piece of work in a fresh process; raise ``Missing`` without its peer.

    With a small file *warm* it is done on that before, and not counted.
    """
    child = FLOORS if work.endswith("_floor") else CHILD
    done = subprocess.run(
        [PYTHON.get(), str(child), work, str(warm), *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env=environ(layout),
    )
    if "ModuleNotFoundError" in done.stderr:
        raise Missing(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"{work} failed: {done.stderr.strip().splitlines()[-1:]}")
    cpu_s, peak, value = done.stdout.split()
    return Ran(float(cpu_s), int(peak), int(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Ours against a reference: the ratio of CPU seconds, turn by turn."""

    ratio: Spread
    ours_s: float
    theirs_s: float


def race(
    ours: tuple[str, Path],
    theirs: tuple[str, Path],
    *,
    warm: Path,
    rounds: int,
    scale: float,
) -> Race:
    """Let two works take turns; *scale* is the bytes of ours over the bytes of theirs.

    The ratio says how many times as fast ours is. Each turn has a layout of its own.
    """
    pairs: list[tuple[float, float]] = []
    while len(pairs) < rounds:
        turn = len(pairs)
        both = (ours, theirs) if turn % 2 else (theirs, ours)
        took = {each: run(*each, warm=warm, layout=turn).cpu_s for each in both}
        pairs.append((took[ours], took[theirs]))
        if not turn and rounds > 1 and sum(took.values()) < SHORT_S:
            rounds *= MORE
    return Race(
        ratio=spread([scale * theirs_s / ours_s for ours_s, theirs_s in pairs]),
        ours_s=spread([ours_s for ours_s, _ in pairs]).median,
        theirs_s=spread([theirs_s for _, theirs_s in pairs]).median,
    )


def row_of(
    work: str,
    reference: str,
    raced: Race,
    *,
    bar: float | None,
    judged: bool,
    size: int,
) -> Row:
    """Write one race beside its bar."""
    ratio = raced.ratio
    speed = size / MIB / raced.ours_s
    return Row(
        work=work,
        reference=reference,
        bar=bar_text(bar),
        measured=(
            f"{ratio.median:.2f}x ({ratio.low:.2f} to {ratio.high:.2f}), "
            f"{speed:.0f} MiB/s"
        ),
        met=ratio.median >= bar if judged and bar is not None else None,
    )


def bar_text(bar: float | None) -> str:
    """Write a bar; a floor has none."""
    return "none: a floor" if bar is None else f">= {bar:g}x"


def vocabulary(random: Random) -> list[str]:
    """Make words of ASCII, each of one to three syllables."""
    onsets, vowels = (
        ["b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "st", "tr"],
        "aeiou",
    )
    return [
        "".join(
            random.choice(onsets) + random.choice(vowels)
            for _ in range(random.randint(1, 3))
        )
        for _ in range(WORDS)
    ]


def strange(word: str, number: int) -> str:
    """Write a word with something that is not ASCII, as English texts have it.

    Of 16 words 11 have an apostrophe, a quote, a dash or an ellipsis of typographers,
    three an accent, one is in Cyrillic, and one is Chinese or comes with an emoji.
    """
    kinds = (
        *[f"{word}’s"] * 5,  # noqa: RUF001  # as typographers write it
        *[f"“{word}”"] * 3,
        *[f"{word} —"] * 2,
        f"{word}…",
        *[accented(word, number)] * 3,
        word.translate(CYRILLIC),
        f"{word} 😀" if number // 16 % 2 else f"漢字{chr(0x4E00 + number % 5000)}",
    )
    return kinds[number % 16]


def accented(word: str, _: int = 0) -> str:
    """Write a word with accents, all of them of Latin-1."""
    return word.translate(ACCENTS)


def sentences(
    *, seed: int = 1, strangely: Callable[[str, int], str] = strange
) -> Iterator[str]:
    """Yield sentences of Zipf English, for ever; 8 of 100 words are not ASCII."""
    random = Random(seed)
    words = vocabulary(random)
    odd = [strangely(word, number) for number, word in enumerate(words)]
    weights = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))
    while True:
        drawn = [
            odd[number] if random.random() < NOT_ASCII else words[number]
            for number in random.choices(range(WORDS), cum_weights=weights, k=4096)
        ]
        for start in range(0, 4096, 16):
            yield " ".join(drawn[start : start + random.randint(6, 16)]).capitalize()


@lru_cache(maxsize=UNITS)
def text_unit(size: int, *, latin: bool = False) -> bytes:
    """Make *size* bytes of lines, with paragraphs, and a blank or two to clean.

    Where it is *latin*, what is not ASCII has accents, and is Latin-1.
    """
    lines, made = [], 0
    source = sentences(strangely=accented if latin else strange)
    for number in range(size):
        line = ". ".join(islice(source, 2)) + (".\n\n" if not number % 6 else ".\n")
        if number % 25 == 0:
            line = line.replace(" ", "  ", 1)
        lines.append(line.encode())
        made += len(lines[-1])
        if made >= size:
            return b"".join(lines)
    return b"".join(lines)


@lru_cache(maxsize=UNITS)
def jsonl_unit(size: int) -> bytes:
    """Make *size* bytes of objects with texts of about 400 characters."""
    import json  # labs list imports every experiment

    source, made = sentences(), 0
    lines: list[bytes] = []
    while made < size:
        text = ". ".join(islice(source, 6))
        value = {"id": len(lines), "text": text, "lang": "en", "score": 0.5}
        lines.append(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        made += len(lines[-1])
    return b"".join(lines)


@lru_cache(maxsize=UNITS)
def csv_unit(size: int) -> bytes:
    """Make *size* bytes of rows, some with quoted line ends, without a header."""
    source, made = sentences(), 0
    lines: list[bytes] = []
    while made < size:
        text = ". ".join(islice(source, 3))
        cell = f'"{text},\n""so""."' if len(lines) % 7 == 0 else text
        lines.append(f"{len(lines)},{cell}\n".encode())
        made += len(lines[-1])
    return b"".join(lines)


def repeated(path: Path, unit: bytes, size: int, *, head: bytes = b"") -> Path:
    """Write *unit* again and again until the file holds *size* bytes; hold one."""
    with path.open("wb") as file:
        file.write(head)
        for _ in range(max(1, size // len(unit))):
            file.write(unit)
    return path


def zstd(unit: bytes, *options: int) -> bytes:
    """Compress by the peers' zstd; raise ``Missing`` without it."""
    code = (
        "import sys; from backports import zstd;"
        "unit, level = sys.stdin.buffer.read(), map(int, sys.argv[1:]);"
        "sys.stdout.buffer.write(zstd.compress(unit, *level))"
    )
    command = [PYTHON.get(), "-c", code, *map(str, options)]
    done = subprocess.run(
        command, input=unit, capture_output=True, check=False, timeout=TIMEOUT_S
    )
    if done.returncode:
        raise Missing(done.stderr.decode().strip().splitlines()[-1])
    return done.stdout


def members(path: Path, unit: bytes, member: bytes, size: int) -> Path:
    """Write *member*, which is *unit* compressed, once for each *unit* in *size*."""
    with path.open("wb") as file:
        for _ in range(max(1, size // len(unit))):
            file.write(member)
    return path


@contextmanager
def removed(path: Path) -> Iterator[Path]:
    """Remove a large file when it has served."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
