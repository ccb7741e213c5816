from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import aip_httpclient

MODULES = [
    info.name
    for info in pkgutil.walk_packages(aip_httpclient.__path__, "aip_httpclient.")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
