"""Numbers with their nouns."""

from __future__ import annotations

from collections.abc import Mapping

MAX_SUFFIXES_SHOWN = 5


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
    most = sorted(files.items(), key=lambda pair: -pair[1])[:MAX_SUFFIXES_SHOWN]
    named = ", ".join(f"{suffix} {number:,}" for suffix, number in most)
    more = "" if len(most) == len(files) else ", ..."
    total = counted(sum(files.values()), "file")
    return f"passed over {total} whose suffix aip does not know: {named}{more}"
