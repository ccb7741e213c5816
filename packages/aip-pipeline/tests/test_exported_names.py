from __future__ import annotations

import subprocess
import sys

import aip_pipeline
from aip_pipeline import embedders, mirrors, stores


def test_all_is_sorted_and_every_name_is_there() -> None:
    for module in (aip_pipeline, embedders, mirrors, stores):
        assert module.__all__ == sorted(module.__all__)
        for name in module.__all__:
            assert getattr(module, name).__name__ == name
        assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(aip_pipeline, "nothing_of_this_name")


def test_the_light_commands_import_nothing_heavy() -> None:
    code = (
        "import sys; from aip_pipeline.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'aiohttp', 'tokenizers', 'rich', 'sqlite3', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
