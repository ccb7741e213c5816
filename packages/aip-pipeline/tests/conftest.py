from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command import Aip
from openai_server import OpenAIServer


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
