"""Flags over the environment over the file over the defaults, and each says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import Aip

from aip_pipeline import IngestSettings


def config(aip: Aip, *args: str) -> dict[str, tuple[object, str]]:
    ran = aip("config", "--json", *args)
    assert (ran.code, ran.err) == (0, "")
    return {name: (v["value"], v["from"]) for name, v in json.loads(ran.out).items()}


def test_flags_beat_the_environment_which_beats_the_file(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config(aip)["chunk_size"] == (1000, "default")
    (aip.folder / "aip.toml").write_text("chunk-size = 400\nchunk_overlap = 40")
    assert config(aip)["chunk_size"] == (400, "aip.toml")
    monkeypatch.setenv("AIP_CHUNK_SIZE", "300")
    assert config(aip)["chunk_size"] == (300, "AIP_CHUNK_SIZE")
    assert config(aip, "--chunk-size", "200")["chunk_size"] == (200, "--chunk-size")
    assert config(aip)["chunk_overlap"] == (40, "aip.toml")


def test_a_wrong_setting_is_called_as_it_was_given(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*args: str) -> str:
        ran = aip("ingest", "notes", *args)
        assert ran.code == 2
        return ran.err.removeprefix("aip: error: ").rpartition(": see ")[0]

    half = "must be at most half of"
    assert said("--chunk-overlap", "900") == (
        f"--chunk-overlap (900) {half} --chunk-size (1000)"
    )
    assert said("--max-memory", "1K") == (
        "--max-memory must be at least 1048576, not 1024"
    )
    assert said("--max-cost", "1") == (
        "--max-cost needs --price: what a million tokens cost"
    )
    assert said("--encoding", "x") == "--encoding 'x' is not known to Python"
    (aip.folder / "aip.toml").write_text("chunk_size = 300")
    monkeypatch.setenv("AIP_CHUNK_OVERLAP", "200")
    assert said() == f"AIP_CHUNK_OVERLAP (200) {half} chunk_size in aip.toml (300)"
    assert "see `aip plan --help`" in aip("plan", "notes").err
    with pytest.raises(ValueError, match=r"^max_memory_bytes must be at least 1048576"):
        IngestSettings(max_memory_bytes=1024)


@pytest.mark.parametrize(
    ("given", "seconds"), [("25", 25), ("90s", 90), ("1.5m", 90), ("2 h", 7200)]
)
def test_a_time_has_a_unit_wherever_it_is_set(
    aip: Aip, monkeypatch: pytest.MonkeyPatch, given: str, seconds: float
) -> None:
    assert config(aip)["deadline"] == (600, "default")
    (aip.folder / "aip.toml").write_text(f'deadline = "{given}"\ndrain = 0.5')
    assert config(aip)["deadline"] == (seconds, "aip.toml")
    assert config(aip)["drain"] == (0.5, "aip.toml")
    monkeypatch.setenv("AIP_DRAIN", given)
    assert config(aip)["drain"] == (seconds, "AIP_DRAIN")
    assert config(aip, "--deadline", given)["deadline"] == (seconds, "--deadline")
    (aip.folder / "aip.toml").write_text("deadline = true")
    refused = aip("config")
    assert (refused.code, "write a number of seconds" in refused.err) == (2, True)


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "0", "inf", "1 d", "m"])
def test_a_time_that_is_none_is_refused(aip: Aip, given: str) -> None:
    ran = aip("config", "--deadline", given)
    assert ran.code == 2
    assert "'--deadline'" in ran.err


def test_no_query_of_an_address_is_shown(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_MIRROR", "pinecone:https://h/a?api_key=canary")
    monkeypatch.setenv("AIP_BASE_URL", "http://127.0.0.1:1/v1#canary")
    for flags in ([], ["--json"]):
        ran = aip("config", *flags)
        assert "pinecone:https://h/a?***" in ran.out
        assert "canary" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("given", "seconds"), [(".5", 0.5), ("1e2", 100), ("1e1m", 600)]
)
def test_a_time_is_any_number(aip: Aip, given: str, seconds: float) -> None:
    assert config(aip, "--deadline", given)["deadline"] == (seconds, "--deadline")


def test_a_time_that_is_refused_is_shown_as_it_was_written(aip: Aip) -> None:
    assert "'-2m' is too short" in aip("config", "--drain=-2m").err


def test_pyproject_is_read_where_there_is_no_file_of_our_own(aip: Aip) -> None:
    project = aip.folder / "pyproject.toml"
    project.write_text('[tool.aip]\nstore = "sqlite:///p.db"\nno-fulltext = true')
    assert config(aip)["store"] == ("sqlite:///p.db", "pyproject.toml [tool.aip]")
    assert config(aip)["no_fulltext"] == (True, "pyproject.toml [tool.aip]")
    (aip.folder / "aip.toml").write_text('max-memory = "64M"')
    assert config(aip)["store"] == ("sqlite:///aip.db", "default")
    assert config(aip)["max_memory"] == (64 << 20, "aip.toml")
    project.write_text("[tool.other]\nx = 1")
    (aip.folder / "aip.toml").unlink()
    assert config(aip)["store"][1] == "default"


def test_every_command_follows_the_file(aip: Aip) -> None:
    (aip.folder / "aip.toml").write_text('store = "sqlite:///other.db"\nk = 1')
    (aip.folder / "notes").mkdir()
    for name in ("tea", "bread"):
        (aip.folder / "notes" / f"{name}.txt").write_text(name)
    assert aip("ingest", "notes").code == 0
    assert (aip.folder / "other.db").exists()
    assert len(json.loads(aip("search", "tea", "--json").out)) == 1
    assert "sqlite:///other.db" in aip("status").out
    assert aip("dead", "list").code == 0


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("chunk-sise = 1", "aip.toml sets 'chunk-sise', which is no setting: did you"),
        ("zzz = 1", "aip.toml sets 'zzz', which is no setting: see `aip config`"),
        ("[ingest]\nrpm = 1", "has a table 'ingest': write settings without tables"),
        ("chunk-size = '9'", "sets 'chunk-size' to a string: write an integer"),
        ("chunk-size = true", "sets 'chunk-size' to a boolean: write an integer"),
        ("chunk-size = 1.5", "sets 'chunk-size' to a float: write an integer"),
        ("text-field = 5", "sets 'text-field' to an integer: write a string"),
        ("store = ['a']", "sets 'store' to an array: write a string"),
        ("no-fulltext = 1", "sets 'no-fulltext' to an integer: write true or false"),
        ("max-memory = 1.5", "to a float: write an integer or a string"),
        ("chunk-size = 0", "aip.toml sets 'chunk-size' wrongly: 0 is not in the range"),
        ("chunk_size = 'big'", "aip.toml sets 'chunk_size' to a string: write an"),
        ("chunk_size = 0", "aip.toml sets 'chunk_size' wrongly: 0 is not in the"),
        ("clean = 'nfd'", "sets 'clean' wrongly: 'nfd' is not one of"),
        ("concurrency = 0", "sets 'concurrency' wrongly: 0 is neither a positive"),
        ("rpm = 1\nrpm = 2", "aip.toml is not TOML: "),
        ("chunk-size = 9\nchunk_size = 8", "aip.toml sets 'chunk_size' twice"),
        ("\ufffe", "aip.toml is not TOML"),
    ],
)
def test_a_slip_in_the_file_is_one_sentence_with_file_and_key(
    aip: Aip, toml: str, said: str
) -> None:
    (aip.folder / "aip.toml").write_text(toml, encoding="utf-8")
    ran = aip("config")
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("aip: error: ")
    assert said in line


def test_a_light_command_knows_the_keys_of_the_heavy_ones(aip: Aip) -> None:
    (aip.folder / "aip.toml").write_text("batch-size = 3\nchunk_sise = 4")
    ran = aip("status")
    assert "did you mean 'chunk_size'?" in ran.err
    assert ran.code == 2


@pytest.mark.parametrize("key", ["api-key", "api_key", "openai_api_key", "key"])
def test_a_key_in_a_file_is_refused_and_not_repeated(aip: Aip, key: str) -> None:
    (aip.folder / "aip.toml").write_text(f'{key} = "canary-4711"')
    ran = aip("config")
    assert ran.code == 2
    assert "set the variable AIP_API_KEY instead" in ran.err
    assert "canary" not in ran.err + ran.out


def test_a_key_of_a_mirror_in_a_file_is_sent_to_its_own_variable(aip: Aip) -> None:
    (aip.folder / "aip.toml").write_text('pinecone-api-key = "canary-4711"')
    ran = aip("config")
    assert ran.code == 2
    assert "set the variable PINECONE_API_KEY instead" in ran.err
    assert "canary" not in ran.err + ran.out


def test_secrets_are_never_shown(aip: Aip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_API_KEY", "canary-4711")
    monkeypatch.setenv("AIP_BASE_URL", "http://user:canary@127.0.0.1:1/v1")
    for args in (["config"], ["config", "--json"]):
        ran = aip(*args)
        assert "canary" not in ran.out + ran.err
        assert "http://***@127.0.0.1:1/v1" in ran.out
        assert "AIP_API_KEY" in ran.out


def test_a_variable_that_nothing_reads_is_named(
    aip: Aip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_CHUNKSIZE", "9")
    ran = aip("config")
    assert ran.code == 0
    assert "AIP_CHUNKSIZE is set, but no setting has that name" in ran.err
    assert "did you mean AIP_CHUNK_SIZE?" in ran.err


def test_version_reads_no_file_and_help_needs_no_sound_one(tmp_path: Path) -> None:
    (tmp_path / "aip.toml").write_text("chunk-size = 0")
    code = (
        "import sys; from aip_pipeline.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print('tomllib' in sys.modules, end.code)"
    )
    for args in (["--version"], ["--help"], ["ingest", "--help"]):
        ran = subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.splitlines()[-1] == "False 0"
