"""The public surface is what ``__all__`` says, and costs nothing to import."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import aip_readers


def test_all_is_sorted_and_real() -> None:
    assert aip_readers.__all__ == sorted(aip_readers.__all__)
    assert set(aip_readers.__all__) == set(aip_readers._HOMES)
    assert set(aip_readers.__all__) <= set(dir(aip_readers))
    for name, home in aip_readers._HOMES.items():
        module = importlib.import_module(f"aip_readers.{home}")
        assert getattr(aip_readers, name) is getattr(module, name)
        assert f"from .{home} import" in inspect.getsource(aip_readers)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'read_docx'"):
        aip_readers.read_docx  # noqa: B018  # the test


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


@pytest.mark.parametrize("items", ["text", b"text", ["a", "line"], [{"text": "a row"}]])
@pytest.mark.parametrize("take", [aip_readers.split, aip_readers.Cleaner().trace])
def test_what_is_no_record_is_told_by_its_type(
    take: Callable[[Any], Iterable[object]], items: Iterable[object]
) -> None:
    kind = type(next(iter(items))).__name__
    with pytest.raises(TypeError, match=rf"records are wanted, not {kind}: open_"):
        list(take(items))
