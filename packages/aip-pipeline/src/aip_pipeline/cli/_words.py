"""Numbers with their nouns, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aip_pipeline._report import by_suffix

if TYPE_CHECKING:
    from aip_pipeline._ingestion import Ingestion


def counted(number: int, noun: str) -> str:
    """Write a number and its noun, in the plural where it must be.

    >>> counted(1, "source"), counted(1200, "chunk"), counted(2, "retry")
    ('1 source', '1,200 chunks', '2 retries')
    """
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"


def passed_over(files: Mapping[str, int]) -> str:
    """Say how many files of folders are not read, by suffix, the most common first.

    >>> passed_over({".png": 2, "no suffix": 1})
    'passed over 3 files whose suffix aip does not know: .png 2, no suffix 1'
    """
    total = counted(sum(files.values()), "file")
    return f"passed over {total} whose suffix aip does not know: {by_suffix(files)}"


def how_to_go_on(run: Ingestion) -> str:
    """Say what to do after an early end; a pipe gives nothing a second time."""
    if not run.cut_off:
        return "run the same command again to go on from here"
    name = "standard input" if run.cut_off == "-" else run.cut_off
    return (
        f"{name} was not read to its end, so what it gave answers no search yet: run "
        "the same command with its whole input; what is stored is not embedded again"
    )
