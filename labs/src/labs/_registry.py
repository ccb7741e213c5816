"""Finding the experiments: each module of ``labs.experiments`` registers one."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Sequence

from labs import experiments
from labs._form import Form
from labs._result import Experiment, Finding, Result

_registered: dict[str, Experiment] = {}


class UnknownPart(LookupError):
    """Report the name of a part that an experiment does not have.

    Args:
        name: the name asked for.
        made: the experiment.
    """

    def __init__(self, name: str, *, made: Experiment) -> None:
        known = ", ".join(made.parts) or "none: it runs as a whole"
        super().__init__(f"{made.id} has no part {name}: choose from {known}")
        self.name = name
        self.made = made


class UnknownExperiment(LookupError):
    """Report ids that no experiment has.

    Args:
        ids: the ids asked for.
        known: the ids there are.
    """

    def __init__(self, ids: Sequence[str], *, known: Sequence[str]) -> None:
        super().__init__(
            f"no experiment {', '.join(ids)}: choose from all, {', '.join(known)}"
        )
        self.ids = tuple(ids)
        self.known = tuple(known)


def experiment(
    id_: str,
    *,
    title: str,
    question: str,
    hypothesis: str,
    claim: str,
    explanation: str,
    production: str,
    parts: Sequence[str] = (),
    brief: str = "",
) -> Callable[[Callable[..., Finding]], Experiment]:
    """Register the decorated function as an experiment; its argument is the `Form`.

    The arguments are those of `Experiment`. One with *parts* takes a second
    argument: the names of those to run, or none for all.

    Raises:
        ValueError: another module registered the same id.
    """

    def register(run: Callable[..., Finding]) -> Experiment:
        made = Experiment(
            id=id_,
            title=title,
            question=question,
            hypothesis=hypothesis,
            claim=claim,
            explanation=" ".join(explanation.split()),
            production=" ".join(production.split()),
            run=run,
            parts=tuple(parts),
            brief=brief,
        )
        _add(made)
        return made

    return register


def _add(made: Experiment) -> None:
    before = _registered.get(made.id)
    if before is not None and before.run.__module__ != made.run.__module__:
        taken = before.run.__module__
        raise ValueError(f"experiment {made.id!r} is already registered by {taken}")
    _registered[made.id] = made


def catalogue() -> tuple[Experiment, ...]:
    """Give every experiment, numbered ones first, in order."""
    for module in pkgutil.iter_modules(experiments.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{experiments.__name__}.{module.name}")
    return tuple(sorted(_registered.values(), key=lambda made: _order(made.id)))


def choose(ids: Sequence[str]) -> tuple[Experiment, ...]:
    """Give the experiments with these ids, in the order asked; "all" gives all.

    Raises:
        UnknownExperiment: there is none of that id.
    """
    known = {made.id: made for made in catalogue()}
    missing = [id_ for id_ in ids if id_ not in known and id_ != "all"]
    if missing:
        raise UnknownExperiment(missing, known=tuple(known))
    wanted = [each for id_ in ids for each in (known if id_ == "all" else [id_])]
    return tuple(known[id_] for id_ in dict.fromkeys(wanted))


def check_parts(made: Experiment, only: Sequence[str]) -> None:
    """Refuse names that are no part of *made*.

    Raises:
        UnknownPart: there is one.
    """
    for name in only:
        if name not in made.parts:
            raise UnknownPart(name, made=made)


def perform(made: Experiment, *, form: Form, only: Sequence[str] = ()) -> Result:
    """Run one experiment, or *only* some parts of it, and note how long it took.

    One without a brief form is run whole instead.

    Raises:
        UnknownPart: it has no part of that name.
    """
    check_parts(made, only)
    form = made.nearest(form)
    start = time.perf_counter()
    finding = made.run(form, only) if only else made.run(form)
    seconds = time.perf_counter() - start
    return Result(experiment=made, finding=finding, seconds=seconds, form=form)


def _order(id_: str) -> tuple[bool, list[int], str]:
    parts = id_.split(".")
    numbered = all(part.isdigit() for part in parts)
    return (not numbered, [int(part) for part in parts] if numbered else [], id_)
