"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Write a number and its noun, in the plural where it must be.

    >>> counted(1, "source"), counted(1200, "chunk"), counted(2, "retry")
    ('1 source', '1,200 chunks', '2 retries')
    """
    if number != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun}"
