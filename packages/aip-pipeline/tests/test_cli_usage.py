"""What `aip` says and returns, run inside the test's process."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from command import Aip
from stored import texts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold a few notes; the working folder is beside them."""
    made = tmp_path / "notes"
    made.mkdir()
    (made / "bread.md").write_text("# Bread\n\nKnead the dough, let it rise, bake it.")
    (made / "tea.txt").write_text("Boil water and pour it over the leaves.")
    return made


def only_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def test_status_and_dead_list_tell_what_stands(aip: Aip, folder: Path) -> None:
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    done = aip("ingest", "notes")
    assert done.code == 3
    place = f"{folder / 'latin.txt'} at byte 3 (line 1): "
    assert only_line(done.err).startswith(f"aip: dead: {place}")
    listed = aip("dead", "list")
    assert only_line(listed.out).startswith(f"1: {place}")
    status = json.loads(aip("status", "--json").out)
    assert (status["sources"], status["chunks"], status["dead"]) == (3, 3, 1)


def test_one_reason_is_not_told_for_every_line(aip: Aip, folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"body": "x"}\n5\n' * 50)
    (folder / "b.jsonl").write_text('{"body": "x"}\n' * 50)
    done = aip("ingest", "notes")
    told = [line for line in done.err.splitlines() if "'text'" in line]
    assert len(told) == 8
    more = [
        line for line in done.err.splitlines() if ": dead: ... and more in " in line
    ]
    assert [line.count("a.jsonl") for line in more] == [1, 1, 0]
    assert len(done.err.splitlines()) == 12
    assert len(aip("dead", "list").lines) == 150


def test_no_more_letters_are_told_than_somebody_reads(aip: Aip, folder: Path) -> None:
    for n in range(300):
        (folder / f"{n}.jsonl").write_text("5")
    told = aip("ingest", "notes").err.splitlines()
    assert len(told) == 201
    assert told[-1] == "aip: dead: ... and more: see `aip dead list`"


def test_settings_come_from_the_environment(
    aip: Aip, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_STORE", "sqlite:///other.db")
    monkeypatch.setenv("AIP_CHUNK_SIZE", "20")
    monkeypatch.setenv("AIP_CHUNK_OVERLAP", "0")
    assert aip("ingest", "notes").code == 0
    found = texts(folder.parent / "other.db")
    assert len(found) > 2
    assert max(map(len, found)) <= 20


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["ingest", "gone"], 2, "no such file or folder at gone: check the path"),
        (["ingest", "*.nothing"], 2, "nothing"),
        (["ingest"], 2, "Missing argument 'SOURCE...'"),
        (["ingest", "notes", "--embedder", "x"], 2, "'x'"),
        (["ingest", "notes", "--store", "mysql://h"], 2, "unknown store 'mysql'"),
        (["ingest", "notes", "--chunk-overlap", "900"], 2, "at most half"),
        (["ingest", "notes", "--max-memory", "much"], 2, "'much' is not a size"),
        (["ingest", "notes", "--concurrency", "0"], 2, "neither a positive number"),
        (["ingest", "notes", "--encoding", "nope"], 2, "encoding 'nope' is not known"),
        (["ingest", "notes", "--embedder", "openai:m"], 2, "AIP_API_KEY"),
        (["ingest", "notes", "--store", "sqlite:////proc/x.db"], 1, "/proc/x.db"),
        (["search", "tea"], 1, "run `aip ingest` first"),
        (["search", " "], 2, "the query is empty: say what to look for"),
        (["status"], 1, "run `aip ingest` first"),
        (["ingest", "notes", "--price", "0"], 2, "'--price'"),
        (["brew"], 2, "No such command 'brew'"),
    ],
)
def test_a_mistake_is_one_clear_line(
    aip: Aip, args: list[str], code: int, said: str
) -> None:
    failed = aip(*args)
    assert failed.code == code
    line = only_line(failed.err)
    assert line.startswith("aip: error: ")
    assert said in line
    assert failed.out == ""


def test_plan_sends_nothing_and_says_what_would_be_done(aip: Aip, folder: Path) -> None:
    flags = ("--embedder", "openai:m", "--base-url", "http://127.0.0.1:9/v1")
    shown = aip("plan", "notes", *flags, "--price", "1")
    assert shown.code == 0
    assert "Sources: 2 new, 0 changed, 0 unchanged, 0 vanished" in shown.out
    assert "2 texts to embed" in shown.out
    found = json.loads(aip("plan", "notes", *flags, "--json").out)
    assert (found["new"], found["to_embed"], found["requests"]) == (2, 2, 1)
    assert not (folder.parent / "aip.db").exists()


def test_a_plan_names_what_is_passed_over_and_judges_the_budget(
    aip: Aip, folder: Path
) -> None:
    (folder / "a.png").write_bytes(b"\0")
    out = aip("plan", "notes", "--max-tokens", "1").out
    assert "passed over 1 file whose suffix aip does not know: .png 1" in out
    assert "tokens (an estimate)" in out
    assert "the budget of 1 token would stop the run before its end" in out
    out = aip("plan", "notes", "--price", "1", "--max-cost", "9").out
    assert "the budget of 9,000,000 tokens is enough" in out
    assert aip("ingest", "notes").code == 0
    assert "nothing needs to be: all is stored" in aip("plan", "notes").out
    (folder.parent / "empty").mkdir()
    assert "Nothing to read there" in aip("plan", "empty").out


@pytest.mark.usefixtures("folder")
def test_a_budget_ends_the_run_with_its_own_code(aip: Aip) -> None:
    stopped = aip("ingest", "notes", "--max-tokens", "1")
    assert stopped.code == 4
    assert "Stopped by the budget" in stopped.out
    assert "The budget of tokens is smaller than the first request: " in stopped.out
    assert "the budget is 1 token: raise it, or lower --chunk-size" in stopped.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it has no full device")
@pytest.mark.parametrize("command", ["status", "export", "--help"])
@pytest.mark.usefixtures("folder")
def test_output_that_cannot_be_written_is_told(
    aip: Aip, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    aip("ingest", "notes")
    with monkeypatch.context() as patch, Path("/dev/full").open("w") as full:
        full.reconfigure(line_buffering=command == "status")  # sooner or later
        patch.setattr(sys, "stdout", full)
        ran = aip(command)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "aip: error: the output could not be written (No space left on device): check "
        "where stdout goes to; what was stored is kept\n"
    )


@pytest.mark.usefixtures("folder")
def test_another_error_of_the_system_is_not_blamed_on_the_output(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("aip_pipeline.cli._status.open_store", fail)
    ran = aip("status")
    assert (ran.code, "unexpected OSError" in ran.err) == (1, True)


def test_files_that_a_folder_passes_over_are_counted(aip: Aip, folder: Path) -> None:
    for name in ("a.png", "b.png", "LICENCE"):
        (folder / name).write_bytes(b"\0")
    out = aip("ingest", "notes").out
    assert (
        "passed over 3 files whose suffix aip does not know: .png 2, no suffix" in out
    )
    out = aip("ingest", "notes/tea.txt").out
    assert "passed over" not in out


def test_a_source_without_text_is_not_called_searchable(aip: Aip, folder: Path) -> None:
    (folder / "rows.csv").write_text("text\n")
    assert "what was read holds no text" in aip("ingest", "notes/rows.csv").out
    assert "Next: aip search" in aip("ingest", "notes").out


def test_prune_refuses_and_obeys(aip: Aip, folder: Path) -> None:
    aip("ingest", "notes")
    (folder / "tea.txt").unlink()
    told = aip("ingest", "notes")
    assert "vanished, and still answering: " in told.out
    assert "tea.txt (--prune removes" in told.out
    refused = aip("ingest", "notes", "--prune")
    assert refused.code == 1
    assert "1 of 2 sources have vanished" in only_line(refused.err)
    done = aip("ingest", "notes", "--prune", "--yes")
    assert "removed 1 chunk of vanished sources" in done.out
    assert len(texts(folder.parent / "aip.db")) == 1


@pytest.mark.parametrize("gone", ["notes", "notes/tea.txt"])
def test_a_path_that_is_gone_is_pruned_by_its_own_name_where_that_is_meant(
    aip: Aip, folder: Path, gone: str
) -> None:
    (folder.parent / "other.txt").write_text("Warm the pot first.")
    assert aip("ingest", "notes", "other.txt").code == 0
    names = [folder / "tea.txt"] if "tea" in gone else [*folder.iterdir()]
    for path in names:
        path.unlink()
    if gone == "notes":
        folder.rmdir()
    for flags in ([], ["--prune"]):
        refused = aip("ingest", gone, "other.txt", *flags)
        assert (refused.code, refused.out) == (2, "")
        line = only_line(refused.err)
        assert f"no such file or folder at {gone}, from which the store still" in line
        assert f"holds {len(names)} of its 3 sources: is a disk not mounted?" in line
        assert "aip ingest with --prune --yes removes" in line
    assert aip("plan", gone).err == aip("ingest", gone).err
    assert len(texts(folder.parent / "aip.db")) == 3
    done = aip("ingest", gone, "--prune", "--yes")
    assert (done.code, done.err) == (0, "")
    assert f"removed {len(names)} chunk" in done.out
    assert "Nothing else was to be read." in done.out
    assert len(texts(folder.parent / "aip.db")) == 3 - len(names)
    again = aip("ingest", gone, "--prune", "--yes")
    assert again.code == 2
    assert f"no such file or folder at {gone}: check the path" in again.err


def test_a_pruned_source_without_chunks_is_not_said_to_answer(
    aip: Aip, folder: Path
) -> None:
    (folder / "rows.csv").write_text("text\n")
    aip("ingest", "notes")
    (folder / "rows.csv").unlink()
    done = aip("ingest", "notes", "--prune", "--yes", "--report", "r.html")
    assert "removed 0 chunks of vanished sources" in done.out
    assert "still answer" not in done.out + (aip.folder / "r.html").read_text()


def test_a_vanished_source_without_passages_is_not_said_to_answer(
    aip: Aip, folder: Path
) -> None:
    (folder / "bad.jsonl").write_text("{oops}\n")
    aip("ingest", "notes")
    (folder / "bad.jsonl").unlink()
    told = aip("ingest", "notes", "--report", "r.html")
    gone = f"vanished, and still stored, without any passage: {folder}/bad.jsonl (--pr"
    assert gone in told.out
    said = "vanished, and still stored, without any passage"
    assert said in (aip.folder / "r.html").read_text()
    (folder / "tea.txt").unlink()
    assert "stored, 1 with passages that answer: " in aip("ingest", "notes").out


def test_a_refused_prune_still_sums_up_what_was_done(aip: Aip, folder: Path) -> None:
    aip("ingest", "notes")
    (folder / "tea.txt").unlink()
    (folder / "new.txt").write_text("Warm the pot first.")
    refused = aip("ingest", "notes", "--prune")
    assert (refused.code, only_line(refused.err)[:12]) == (1, "aip: error: ")
    assert refused.lines[0].startswith(
        "Done: 2 sources of this run, with 2 chunks in sqlite:///aip.db"
    )
    assert "read 2 = stored 1 + unchanged 1 + filtered 0 + dead 0" in refused.out
    assert "vanished, and still answering: " in refused.out
    assert "--prune" not in refused.out
    refused = aip("ingest", "notes", "--prune", "--json")
    assert refused.code == 1
    assert json.loads(only_line(refused.out))["unchanged"] == 2
    assert len(refused.err.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_json_is_printed_also_when_the_settings_file_is_wrong(aip: Aip) -> None:
    (aip.folder / "aip.toml").write_text("nope = 1")
    failed = aip("ingest", "--json", "notes")
    assert failed.code == 2
    assert json.loads(only_line(failed.out))["read"] == 0
    assert "sets 'nope', which is no setting" in only_line(failed.err)


def test_json_is_printed_also_for_wrong_usage(aip: Aip) -> None:
    failed = aip("ingest", "--json", "notes", "--batch-size", "none")
    assert failed.code == 2
    assert json.loads(failed.out)["read"] == 0
    assert "'none' is not a valid integer" in only_line(failed.err)


def test_a_search_says_why_an_unfinished_source_does_not_answer(
    aip: Aip, folder: Path
) -> None:
    aip("ingest", "notes")
    with sqlite3.connect("aip.db") as store:
        store.execute("UPDATE source SET generation = 0, next_fingerprint = 'v'")
    store.close()
    searched = aip("search", "tea")
    assert searched.out == ""
    assert "2 sources are unfinished" in only_line(searched.err)
    assert folder.exists()


def test_a_search_shows_the_words_it_found(aip: Aip, folder: Path) -> None:
    filler = "Other words, without end. " * 15
    (folder / "long.txt").write_text(f"{filler} Retry-After is obeyed. {filler}")
    aip("ingest", "notes")
    shown = aip("search", "retry after", "--mode", "lexical").out
    assert "Retry-After is obeyed" in " ".join(shown.split())


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_search_that_finds_nothing_says_so(
    aip: Aip, folder: Path, flags: tuple[str, ...]
) -> None:
    aip("ingest", "notes")
    ran = aip("search", "zeppelin", "--mode", "lexical", *flags)
    assert (ran.code, ran.out) == (0, "[]\n" if flags else "")
    assert only_line(ran.err).startswith("aip: nothing found: try other words")
    for path in folder.iterdir():
        path.unlink()
    aip("ingest", "notes", "--prune", "--yes")
    ran = aip("search", "zeppelin", *flags)
    assert "sqlite:///aip.db holds no passage yet" in only_line(ran.err)


def test_a_plan_needs_no_key(aip: Aip, folder: Path) -> None:
    planned = aip("plan", str(folder), "--embedder", "openai:text-embedding-3-small")
    assert planned.code == 0
    assert "2 texts to embed" in planned.out


EVERY = ("ingest notes", "plan notes", "status", "search tea", "verify", "dead retry")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("gone", ["1", "key = 'embedder'", "key = 'fulltext'"])
def test_a_store_that_lost_its_name_says_so_and_sends_nobody_in_a_circle(
    aip: Aip, gone: str
) -> None:
    assert aip("ingest", "notes").code == 0
    held = texts(aip.folder / "aip.db")
    with closing(sqlite3.connect("aip.db")) as db, db:
        db.execute(f"DELETE FROM meta WHERE {gone}")  # noqa: S608  # ours
    for command in (*EVERY, "verify --repair"):
        done = aip(*command.split())
        line = (done.err or done.out).splitlines()[0]
        assert done.code == 1, command
        assert "which embedder made it are gone" in line, command
        assert "restore a" in line, command
        assert "ingest into a new store" in line, command
    assert aip("ingest", "notes", "--store", "sqlite:///new.db").code == 0
    assert texts(aip.folder / "new.db") == held, "what it told to do, works"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "content", [b"no database, but long enough to be read as one", None]
)
def test_a_file_that_is_no_store_is_named_by_every_command(
    aip: Aip, content: bytes | None
) -> None:
    if content is None:
        with closing(sqlite3.connect("aip.db")) as db:
            db.execute("CREATE TABLE theirs (x)")
    else:
        (aip.folder / "aip.db").write_bytes(content)
    for command in (*EVERY, "dead list", "export"):
        done = aip(*command.split())
        assert (done.code, done.out) == (1, ""), command
        assert only_line(done.err).endswith("name another with --store sqlite:///PATH")


@pytest.mark.usefixtures("folder")
def test_a_small_score_is_shown_by_its_digits(aip: Aip) -> None:
    assert aip("ingest", "notes").code == 0
    shown = aip("search", "the it", "--mode", "lexical", "-k", "1")
    (hit,) = json.loads(
        aip("search", "the it", "--mode", "lexical", "-k", "1", "--json").out
    )
    assert 0 < hit["score"] < 0.0001, "BM25 of words that most passages have"
    written = re.search(r"score (\S+)", shown.lines[0])
    assert written is not None
    assert float(written[1]) == pytest.approx(hit["score"], rel=0.01)
