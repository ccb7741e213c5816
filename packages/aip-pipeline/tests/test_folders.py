"""Folders that cannot be listed are dead letters until they can be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import Aip

from aip_pipeline import Ingestion, IngestSettings, ingest, open_store, verify
from aip_pipeline.stores import DeadLetter


@pytest.fixture
def folder(aip: Aip) -> Path:
    made = aip.folder / "in"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_text("above")
    (made / "sub" / "x.txt").write_text("below")
    return made


def letters() -> list[DeadLetter]:
    with open_store("sqlite:///aip.db") as store:
        return list(store.dead_letters())


async def lost(folder: Path, *sources: str) -> Ingestion:
    """Ingest while the folder below goes away after it was seen from above."""

    def vanish(_: object) -> bool:
        shutil.rmtree(folder / "sub", ignore_errors=True)
        return True

    run = Ingestion(sources or [str(folder)], settings=IngestSettings(), keep=vanish)
    await run.run()
    return run


async def test_a_folder_that_could_not_be_listed_is_a_letter_until_it_is(
    folder: Path,
) -> None:
    report = (await lost(folder)).report
    assert (report.read, report.stored, report.dead, report.sources) == (2, 1, 1, 1)
    (letter,) = letters()
    assert (letter.source, letter.text) == (str(folder / "sub"), None)
    assert list(verify()) == []
    (folder / "sub").mkdir()
    (folder / "sub" / "x.txt").write_text("below")
    await ingest(str(folder / "a.txt"))
    assert len(letters()) == 1, (
        "a run that does not reach the folder says nothing of it"
    )
    report = await ingest(str(folder))
    assert (report.read, report.dead, report.deleted) == (2, 0, 0)
    assert letters() == []


@pytest.mark.parametrize("glob", ["in/**/*.txt", "*/*/*.txt"])
async def test_a_folder_below_a_glob_that_is_gone_is_no_letter(
    folder: Path, glob: str
) -> None:
    (folder / "b").mkdir()
    (folder / "b" / "b.txt").write_text("before the folder that goes")
    assert (await lost(folder, glob)).report.dead == 1
    assert [letter.source for letter in letters()] == [str(folder / "sub")]
    assert (await ingest(glob)).dead == 0
    assert letters() == []


async def test_a_folder_in_the_place_of_a_file_leaves_what_is_stored(
    folder: Path,
) -> None:
    shutil.rmtree(folder / "sub")
    (folder / "sub").write_text("a file without a suffix")
    await ingest([str(folder / "sub")])
    (folder / "sub").unlink()
    (folder / "sub").mkdir()
    assert (await lost(folder)).report.dead == 1
    with open_store("sqlite:///aip.db") as store:
        texts = [entry.text for entry in store.entries()]
    assert "a file without a suffix" in texts


async def test_a_folder_too_deep_to_be_named_stays_a_letter(folder: Path) -> None:
    place = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        place, above = os.open("d" * 250, os.O_RDONLY, dir_fd=place), place
        os.close(above)
    os.close(place)
    for _ in range(2):
        assert (await ingest(str(folder))).dead == 1
        assert [letter.reason for letter in letters()] == ["file name too long"]


@pytest.mark.skipif(os.name != "posix", reason="rights are those of POSIX")
def test_every_command_counts_a_folder_without_rights(folder: Path) -> None:
    """Root may list any folder, so it gives that right up first."""
    drop = "-dac_override,-dac_read_search"
    give_up = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}"]
    if os.geteuid():
        give_up = []
    elif not shutil.which("setpriv"):
        pytest.skip("root, and no setpriv to give up its rights")

    def unprivileged(*args: str) -> tuple[int, dict[str, object]]:
        command = [*give_up, sys.executable, "-m", "aip_pipeline", *args, "--json"]
        ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)

    (folder / "sub").chmod(0)
    try:
        assert unprivileged("plan", "in")[1]["unreadable"] == 1
        for _ in range(2):
            code, report = unprivileged("ingest", "in")
            assert (code, report["dead"]) == (3, 1)
            assert unprivileged("status")[1]["dead"] == 1
            assert unprivileged("dead", "list")[1]["source"] == str(folder / "sub")
        code, retried = unprivileged("dead", "retry")
        assert (code, retried["retried"], retried["to_read_again"]) == (3, 1, 1)
        assert unprivileged("ingest", "in")[1]["dead"] == 1
    finally:
        (folder / "sub").chmod(0o700)
    code, report = unprivileged("ingest", "in")
    assert (code, report["dead"], report["stored"]) == (0, 0, 1)
    assert unprivileged("status")[1]["dead"] == 0
