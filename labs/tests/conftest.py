from __future__ import annotations

import pytest
from click.testing import CliRunner


@pytest.fixture
def runner(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> CliRunner:
    """Run commands in an empty folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("run"))
    return CliRunner()
