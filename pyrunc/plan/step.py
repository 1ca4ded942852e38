# SPDX-License-Identifier: Apache-2.0
"""What a step of a plan is: data with a number and a name; the steps themselves are in `steps`.

A class of its own, not dataclasses: their import costs 12 ms of every command.
"""

from __future__ import annotations

from operator import attrgetter
from struct import Struct

from pyrunc.plan.wire import BYTES, NUMBER, OPTIONAL, REGISTER, STRING, STRINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, TypeVar, dataclass_transform

    _T = TypeVar("_T")
else:

    def dataclass_transform(**_: Any) -> Callable[[_T], _T]:
        """The checker's view of `Step.__init__`; costs nothing at run time."""
        return lambda cls: cls


# The annotation of a field is its kind on the wire.
if TYPE_CHECKING:
    Number = int
    Register = int
    String = str
    OptionalString = str | None
    Strings = tuple[str, ...]
    Bytes = bytes

_KINDS = {
    "Number": NUMBER,
    "Register": REGISTER,
    "String": STRING,
    "OptionalString": OPTIONAL,
    "Strings": STRINGS,
    "Bytes": BYTES,
}

ALL: list[type[Step]] = []
NUMBERS = (NUMBER, REGISTER)


class _Name:
    """The class's name as C writes it; made when it is asked for, as few commands do."""

    def __get__(self, step: Step | None, cls: type[Step]) -> str:
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")


@dataclass_transform(kw_only_default=True)
class _Fields:
    """Gives each step class its fields, its number and its name, from its annotations."""

    FIELDS: ClassVar[tuple[tuple[str, str], ...]] = ()
    OPCODE: ClassVar[int] = 0
    SIZE: ClassVar[int] = 0
    # A record's fixed part: made once a class, as a container's plan has some seventy steps.
    LAYOUT: ClassVar[Struct]
    # What goes into the fixed part: the number, its size, the fields; and which are no numbers.
    SLOTS: ClassVar[attrgetter[tuple[Any, ...]]]
    TEXTS: ClassVar[tuple[int, ...]] = ()
    NAME: ClassVar[_Name] = _Name()

    def __init_subclass__(cls) -> None:
        if cls.__name__ == "Step":
            return
        ALL.append(cls)  # type: ignore[arg-type]  # every subclass but Step is one of Step
        cls.OPCODE = len(ALL)
        cls.FIELDS = tuple((name, _KINDS[kind]) for name, kind in cls.__annotations__.items())
        cls.LAYOUT = Struct("=II" + "Q" * len(cls.FIELDS))
        cls.SIZE = cls.LAYOUT.size
        cls.SLOTS = attrgetter("OPCODE", "SIZE", *cls.__annotations__)
        cls.TEXTS = tuple(i for i, (_, kind) in enumerate(cls.FIELDS, 2) if kind not in NUMBERS)

    if not TYPE_CHECKING:  # the checker makes one from the annotations

        def __init__(self, **fields: Any) -> None:
            self.__dict__ = fields

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.OPCODE, tuple(self.__dict__.items())))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


class Step(_Fields):
    """One thing that pyrunc-init does.

    Args:
        pointer: JSON pointer of the property that asked for it, "" where it is our own need.
    """

    pointer: str = ""
