"""The eleven torments, and the one rule by which each is judged for every side."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from labs._result import Cell
from labs.experiments.torture._corpus import POISON, Corpus, spoil, write_lines
from labs.experiments.torture._server import Server, serving
from labs.experiments.torture._sides import Bench, Done, Held

IN_FLIGHT_BAR = 80
SLOW_S = 0.1
AGAIN_SHARE = 0.01
KILLED_SHARE = 0.5
SETTLE_S = 5.0
LINES, NOTES = 100, 20
NEW_BOOK = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one torment did to one side.

    Args:
        done: how the run that is judged ended.
        state: where its store is kept.
        wanted: passages that must be there.
        paid: texts that the judged run had embedded.
        again: those of them that had been embedded before.
        peak: most requests in flight.
        before: texts that had been embedded before it.
        damaged: name of the file that cannot be stored whole.
    """

    done: Done
    state: Path
    wanted: frozenset[int]
    paid: int = 0
    again: int = 0
    peak: int = 0
    before: int = 0
    damaged: str = ""


Judge = Callable[[Trial, Held], tuple[bool, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Torment:
    """One failure: what is done, and what must come out.

    Args:
        name: what is done.
        bar: what must come out, of every side.
        judge: tells whether it did, and what was seen.
    """

    name: str
    bar: str
    judge: Judge

    def cell(self, trial: Trial, held: Held) -> Cell:
        """Judge one side."""
        met, text = self.judge(trial, held)
        return Cell(met=met, text=text)


def _lost(trial: Trial, held: Held) -> str:
    lost = len(trial.wanted - held.numbers)
    return f"{lost:,} of {len(trial.wanted):,} lost, {trial.done.text}"


def _whole(trial: Trial, held: Held) -> bool:
    return trial.done.code == 0 and trial.wanted <= held.numbers


def _few(trial: Trial) -> bool:
    return trial.again <= AGAIN_SHARE * len(trial.wanted)


def _again(trial: Trial, held: Held) -> str:
    lost = "" if trial.wanted <= held.numbers else f"; {_lost(trial, held)}"
    ended = "" if trial.done.code == 0 else f", {trial.done.text}"
    return f"{trial.again:,} of {len(trial.wanted):,} embedded again{lost or ended}"


def judge_in_flight(trial: Trial, held: Held) -> tuple[bool, str]:
    """Bound what is in flight."""
    whole = _whole(trial, held)
    seen = f"{trial.peak} in flight" + ("" if whole else f"; {_lost(trial, held)}")
    return whole and trial.peak <= IN_FLIGHT_BAR, seen


def judge_unchanged(trial: Trial, held: Held) -> tuple[bool, str]:
    """Ask for nothing that is there."""
    return _whole(trial, held) and trial.paid == 0, _again(trial, held)


def judge_edited(trial: Trial, held: Held) -> tuple[bool, str]:
    """Pay for the edit, and show it."""
    stale = len(held.numbers - trial.wanted)
    text = _again(trial, held) + (f"; {stale} stale found" if stale else "")
    return _whole(trial, held) and not stale and _few(trial), text


def judge_emptied(trial: Trial, held: Held) -> tuple[bool, str]:
    """Fill it again, or at least do not say that all is well."""
    filled = trial.wanted <= held.numbers
    return filled or trial.done.code != 0, _lost(trial, held)


def judge_deleted(trial: Trial, held: Held) -> tuple[bool, str]:
    """Find it no more, and all else still."""
    stale = len(held.numbers - trial.wanted)
    text = "still found" if stale else "gone"
    if trial.again or not _whole(trial, held):
        text += f"; {_again(trial, held)}"
    return not stale and _whole(trial, held) and _few(trial), text


def judge_failed_update(trial: Trial, held: Held) -> tuple[bool, str]:
    """Keep the old version while the new one cannot be had, and say so."""
    return trial.wanted <= held.numbers and trial.done.code != 0, _lost(trial, held)


def judge_told(trial: Trial, held: Held) -> tuple[bool, str]:
    """Store all that is good, and tell of the rest: by exit code, or by name."""
    told = trial.done.code != 0 or trial.damaged in trial.done.said
    text = _lost(trial, held) + ("" if told else ", source not named")
    return trial.wanted <= held.numbers and told, text


def judge_all_500(trial: Trial, held: Held) -> tuple[bool, str]:
    """Do not say that it worked."""
    text = trial.done.text + (f"; {held.empty:,} without vector" if held.empty else "")
    return trial.done.code not in {0, None} and not held.empty, text


def judge_killed(trial: Trial, held: Held) -> tuple[bool, str]:
    """Lose and double nothing, and do not begin anew."""
    doubled = f"; {held.doubled:,} doubled" if held.doubled else ""
    share = trial.again / max(trial.before, 1)
    lost = "" if _whole(trial, held) else f"; {_lost(trial, held)}"
    text = f"{share:.0%} of {trial.before:,} embedded again{lost}{doubled}"
    return _whole(trial, held) and not held.doubled and share <= KILLED_SHARE, text


def _torments() -> tuple[Torment, ...]:
    few = f"<= {AGAIN_SHARE:.0%} embedded again"
    told = "all others stored, and the loss told"
    rows: tuple[tuple[str, str, Judge], ...] = (
        ("first run, 100 requests", f"<= {IN_FLIGHT_BAR} in flight", judge_in_flight),
        ("unchanged, run again", "nothing embedded again", judge_unchanged),
        ("one passage edited", f"new for old, {few}", judge_edited),
        ("one source deleted", f"no longer found, {few}", judge_deleted),
        (
            "update while the server fails",
            "the old version stays, exit not 0",
            judge_failed_update,
        ),
        ("store emptied, run again", "filled again, or exit not 0", judge_emptied),
        (
            "every request answered 500",
            "exit not 0, nothing without a vector",
            judge_all_500,
        ),
        ("one text the model refuses", told, judge_told),
        (
            "killed at four fifths, run again",
            f"none lost or doubled, <= {KILLED_SHARE:.0%} embedded again",
            judge_killed,
        ),
        ("one JSON line cut short", told, judge_told),
        ("one byte not UTF-8", told, judge_told),
    )
    return tuple(Torment(name=n, bar=bar, judge=judge) for n, bar, judge in rows)


TORMENTS = _torments()


class Rack:
    """Runs one side through all of it; `trials` come in the order of `TORMENTS`."""

    def __init__(self, bench: Bench, folder: Path, *, passages: int) -> None:
        self.bench = bench
        self.folder = folder
        notes = passages // 10
        corpus = folder / "corpus"
        self.corpus = Corpus.write(corpus, book=passages - notes, notes=notes)
        self.state = folder / "state"
        self.server = Server()

    def trials(self) -> list[Trial]:
        """Do everything."""
        base = self.folder / "base"
        made = [replace(made, state=base) for made in (self.first(), self.again())]
        shutil.copytree(self.state, base)
        for torment in (self.edited, self.deleted, self.failed_update, self.emptied):
            shutil.rmtree(self.state)
            shutil.copytree(base, self.state)
            made.append(torment())
        for torment in (self.all_500, self.poisoned, self.killed, self.cut, self.bad):
            shutil.rmtree(self.state, ignore_errors=True)
            made.append(torment())
        return made

    def first(self) -> Trial:
        """Fill an empty store through a slow server."""
        return self._run(Server(latency_s=SLOW_S), self.corpus.folder, move=False)

    def again(self) -> Trial:
        """Run once more."""
        return self._run(self._known(), self.corpus.folder, move=False)

    def edited(self) -> Trial:
        """Put another passage into the middle of the book."""
        numbers = list(range(self.corpus.book))
        middle, new = len(numbers) // 2, NEW_BOOK + len(numbers) // 2
        numbers[middle] = new
        self.corpus.write_book(numbers)
        wanted = self.corpus.passages - {middle} | {new}
        trial = self._run(self._known(), self.corpus.folder, wanted=wanted)
        self._restore_book()
        return trial

    def deleted(self) -> Trial:
        """Remove one note."""
        number = self.corpus.book + 5
        note = self.corpus.note(number)
        text = note.read_text(encoding="utf-8")
        note.unlink()
        wanted = self.corpus.passages - {number}
        trial = self._run(self._known(), self.corpus.folder, wanted=wanted)
        note.write_text(text, encoding="utf-8")
        return trial

    def failed_update(self) -> Trial:
        """Change the whole book while the server answers nothing but 500."""
        self.corpus.write_book(range(NEW_BOOK, NEW_BOOK + self.corpus.book))
        server = self._known(broken=True)
        trial = self._run(server, self.corpus.folder, wanted=self.corpus.passages)
        self._restore_book()
        return trial

    def emptied(self) -> Trial:
        """Empty the store behind its back."""
        self.bench.empty(self.state)
        return self._run(self._known(), self.corpus.folder)

    def all_500(self) -> Trial:
        """Fill an empty store from a server that always fails."""
        return self._run(Server(broken=True), self.corpus.folder)

    def poisoned(self) -> Trial:
        """Let one note hold what the model refuses."""
        number = self.corpus.book + self.corpus.notes // 2
        note = self.corpus.note(number)
        text = note.read_text(encoding="utf-8")
        note.write_text(f"{text} {POISON}", encoding="utf-8")
        wanted = self.corpus.passages - {number}
        trial = self._run(Server(), self.corpus.folder, wanted=wanted)
        note.write_text(text, encoding="utf-8")
        return replace(trial, damaged=note.name)

    def killed(self) -> Trial:
        """Kill it with SIGKILL when four fifths are paid for, and run it again."""
        server = Server(latency_s=SLOW_S, slots=4)
        enough = len(self.corpus.passages) * 4 // 5
        with serving(server):
            where = self.corpus.folder, self.state, server.url
            self.bench.ingest(*where, kill_when=lambda: server.texts >= enough)
            until = time.monotonic() + SETTLE_S
            while server.in_flight and time.monotonic() < until:
                time.sleep(SLOW_S)
        paid = server.texts
        known = Server(embedded=server.embedded.copy())
        trial = self._run(known, self.corpus.folder)
        return replace(trial, before=paid)

    def cut(self) -> Trial:
        """Read JSON lines of which one is cut short."""
        folder, half = self.folder / "lines", LINES // 2
        path = write_lines(folder, range(LINES), broken=half)
        wanted = frozenset(range(LINES)) - {half}
        trial = self._run(Server(), folder, wanted=wanted)
        return replace(trial, damaged=path.name)

    def bad(self) -> Trial:
        """Read notes of which one holds a byte that is not UTF-8."""
        notes = Corpus.write(self.folder / "notes", book=1, notes=NOTES)
        spoilt = NOTES // 2
        spoil(notes.note(spoilt))
        trial = self._run(Server(), notes.folder, wanted=notes.passages - {spoilt})
        return replace(trial, damaged=notes.note(spoilt).name)

    def _restore_book(self) -> None:
        self.corpus.write_book(range(self.corpus.book))

    def _known(self, *, broken: bool = False) -> Server:
        """Give a server that remembers what the first run had it embed."""
        return Server(embedded=self.server.embedded.copy(), broken=broken)

    def _run(
        self,
        server: Server,
        folder: Path,
        *,
        wanted: frozenset[int] | None = None,
        move: bool = True,
    ) -> Trial:
        before = server.embedded.copy()
        with serving(server):
            done = self.bench.ingest(folder, self.state, server.url)
        fresh = server.embedded - before
        if not before:
            self.server = server if not move else self.server
        state = self.state
        if move:
            state = self.folder / f"after-{len(list(self.folder.iterdir()))}"
            if self.state.exists():
                self.state.rename(state)
                self.state.mkdir()
            else:
                state.mkdir()
        return Trial(
            done=done,
            state=state,
            wanted=self.corpus.passages if wanted is None else wanted,
            paid=fresh.total(),
            again=sum(n for text, n in fresh.items() if before[text]),
            peak=server.peak,
        )
