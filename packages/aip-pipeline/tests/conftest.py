from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from command import Aip
from mirrored import write
from openai_server import OpenAIServer
from pinecone_server import KEY, PineconeServer

MEMORY = Path("/dev/shm")  # noqa: S108  # a file there is flushed for nothing


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the proofs be run in full, and one schedule be had again."""
    parser.addoption("--proof", action="store_true", help="run the proofs in full")
    parser.addoption("--seed", type=int, help="run this simulated schedule only")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the longest to the proofs; test_cli.py has a short form of each."""
    long = collection_path.name in {"test_full_disk.py", "test_torture.py"}
    return True if long and not config.getoption("--proof") else None


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Give an empty folder, in memory where there is such a place."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as made:
        yield Path(made)


@pytest.fixture
def aip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Aip:
    """Run `aip` in an empty folder, in an environment that sets nothing."""
    for name in list(os.environ):
        if name.startswith("AIP_") or name.endswith("API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Aip(tmp_path, capsys)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """Serve embeddings on loopback, without faults."""
    async with OpenAIServer() as started:
        yield started


@pytest.fixture
async def pinecone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PineconeServer]:
    """Serve an index on loopback, with its key in the environment."""
    monkeypatch.setenv("PINECONE_API_KEY", KEY)
    async with PineconeServer() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of two sources below the working folder."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "in"
    made.mkdir()
    for name in "ab":
        write(made / f"{name}.jsonl", *(f"text {n} of {name}" for n in range(20)))
    return made
