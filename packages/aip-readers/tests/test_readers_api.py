"""The public surface is what ``__all__`` says, and costs nothing to import."""

from __future__ import annotations

import subprocess
import sys

import aip_readers


def test_all_is_sorted_and_real() -> None:
    assert aip_readers.__all__ == sorted(aip_readers.__all__)
    public = {name for name in vars(aip_readers) if not name.startswith("_")}
    assert set(aip_readers.__all__) == public - {"annotations"}


def test_every_public_object_is_documented() -> None:
    # Type aliases have no docstring at run time.
    for name in set(aip_readers.__all__) - {"Format", "OnError"}:
        assert getattr(aip_readers, name).__doc__, name


def test_import_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import aip_readers; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'aip_readers'}))"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
