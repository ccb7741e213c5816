from __future__ import annotations

import types

import pytest

import labs
from labs import Experiment, Finding, Form, _registry, catalogue, choose, experiment


def test_all_names_are_sorted_and_complete() -> None:
    public = {
        name
        for name, value in vars(labs).items()
        if not name.startswith("_")
        and name != "annotations"
        and not isinstance(value, types.ModuleType)
    }
    assert set(labs.__all__) == public
    assert labs.__all__ == sorted(labs.__all__, key=lambda n: (not n.isupper(), n))


def test_every_experiment_says_everything() -> None:
    for made in catalogue():
        for field in Experiment.__dataclass_fields__.keys() - {"parts", "brief"}:
            assert getattr(made, field), f"{made.id} has no {field}"


def test_two_modules_cannot_share_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = choose(["1.1"])
    monkeypatch.setattr(_registry, "_registered", {"1.1": first})

    def lab(form: Form) -> Finding:
        raise AssertionError(form)

    with pytest.raises(
        ValueError, match=r"'1.1' is already registered by .*lazy_range"
    ):
        experiment(
            "1.1",
            title="t",
            question="q",
            hypothesis="h",
            claim="c",
            explanation="e",
            production="p",
        )(lab)
