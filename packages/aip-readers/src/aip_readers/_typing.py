"""What the code needs of typing when it runs, without importing typing.

``typing``, and the ``re`` and ``enum`` it imports, take 1.2 MiB and 10 ms: more than a
reader takes to read. Modules that every reader imports therefore import what only
annotations name under ``TYPE_CHECKING``, and the rest from here. Type checkers see the
real names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NamedTuple, TypeVar
else:
    from collections import namedtuple

    class TypeVar:
        """A name that only type checkers look at."""

        def __init__(self, name: str) -> None:
            self.__name__ = name

    class Generic:
        """A base that takes a type in brackets."""

        def __class_getitem__(cls, _: object) -> type:
            return cls

    class _NamedTupleType(type):
        """Make a named tuple of a class body, as ``typing.NamedTuple`` does."""

        def __new__(cls, name: str, _: object, body: dict[str, object]) -> type:
            fields = body["__annotations__"]
            made = namedtuple(  # what typing.NamedTuple makes
                name,
                fields,
                defaults=[body[field] for field in fields if field in body],
                module=body["__module__"],
            )
            for key in body.keys() - fields.keys() - {"__module__"}:
                setattr(made, key, body[key])
            return made

    NamedTuple = type.__new__(_NamedTupleType, "NamedTuple", (), {})

__all__ = ["TYPE_CHECKING", "Generic", "NamedTuple", "TypeVar"]
