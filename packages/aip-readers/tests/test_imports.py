"""What a reader imports: little, because it counts as memory in every process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

from aip_readers import Record
from aip_readers._limits import ON_OVERSIZE
from aip_readers._lines import RawLine
from aip_readers._types import OnOversize

READ = """
import sys
before = set(sys.modules)
from aip_readers import read_lines
print(list(read_lines(sys.argv[1])), *sorted(set(sys.modules) - before))
"""


def test_reading_lines_imports_no_typing_re_or_zlib(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("a\nb\n")
    command = [sys.executable, "-I", "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = done.stdout.rpartition("] ")[2].split()
    assert done.stdout.startswith("['a', 'b']")
    heavy = {"typing", "re", "enum", "functools", "dataclasses", "zlib", "json"}
    assert "aip_readers" in modules
    assert not heavy & set(modules)


def test_named_tuples_are_those_of_the_standard_library() -> None:
    record = Record("s", "text", 0, 4, 1, None, {})
    assert record._replace(line=7).line == 7
    assert record._fields == tuple(Record.__annotations__)
    assert tuple(record) == ("s", "text", 0, 4, 1, None, {})
    assert repr(record).startswith("Record(source='s', text='text', start=0")
    assert RawLine(b"", 0, 0, 1).encoding == "utf-8"


def test_what_limits_accept_is_what_the_type_names() -> None:
    assert get_args(OnOversize) == ON_OVERSIZE
