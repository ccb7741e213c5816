"""The forms that an experiment is run in: how much of it, and what may be judged."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Form(StrEnum):
    """How much of an experiment is run.

    ``QUICK`` is for tests: what time blurs at small sizes is not judged, or widely.
    ``BRIEF`` is a benchmark's place in ``labs run all``: its own bars, at sizes of
    minutes, each named in its row. ``WHOLE`` takes the sizes that the claims speak of.
    """

    QUICK = "quick"
    BRIEF = "brief"
    WHOLE = "whole"

    def pick(self, *, quick: T, whole: T, brief: T | None = None) -> T:
        """Give the size that this form takes; the brief one is whole unless told.

        >>> Form.QUICK.pick(quick=10, whole=1000), Form.BRIEF.pick(quick=10, whole=1000)
        (10, 1000)
        >>> Form.BRIEF.pick(quick=10, brief=100, whole=1000)
        100
        """
        if self is Form.QUICK:
            return quick
        return brief if self is Form.BRIEF and brief is not None else whole
