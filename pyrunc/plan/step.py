# SPDX-License-Identifier: Apache-2.0
"""What a step of a plan is: data with a number and a name; the steps themselves are in `steps`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import Annotated, Any, ClassVar, dataclass_transform

from pyrunc.plan.wire import (
    BYTES,
    NUMBER,
    OPTIONAL,
    RECORD_BYTES,
    REGISTER,
    SLOT_BYTES,
    STRING,
    STRINGS,
)

# The annotation of a field is its kind on the wire. An IntEnum is a number; C gets its names.
Number = Annotated[int, NUMBER]
Flag = Annotated[bool, NUMBER]
Register = Annotated[int, REGISTER]
String = Annotated[str, STRING]
OptionalString = Annotated[str | None, OPTIONAL]
Strings = Annotated[tuple[str, ...], STRINGS]
Bytes = Annotated[bytes, BYTES]

NUMBERS = (NUMBER, REGISTER)


@dataclass_transform(kw_only_default=True)
@dataclass(kw_only=True)
class Step:
    """One thing that pyrunc-init does. Every class below this one becomes a dataclass.

    Args:
        pointer: JSON pointer of the property that asked for it, "" where it is pyrunc's own.
    """

    pointer: str = ""

    FIELDS: ClassVar[tuple[tuple[str, str], ...]] = ()
    CHOICES: ClassVar[tuple[type[IntEnum], ...]] = ()
    OPCODE: ClassVar[int] = 0
    NAME: ClassVar[str] = ""
    # Its record's: as long as it has arguments; and the record's first slot.
    SIZE: ClassVar[int] = 0
    HEAD: ClassVar[int] = 0
    # What goes into the record: the head, the fields; and which of these are not numbers.
    SLOTS: ClassVar[Any]  # an operator.attrgetter
    TEXTS: ClassVar[tuple[int, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Objects, not text: the modules of the steps do without postponed annotations, which take
        # longer to evaluate than all else here.
        own = cls.__annotations__
        dataclass(kw_only=True)(cls)
        cls.OPCODE = len(Step.__subclasses__())
        cls.NAME = snake_case(cls.__name__)
        cls.CHOICES = tuple(hint for hint in own.values() if isinstance(hint, type))
        cls.FIELDS = tuple(
            (name, NUMBER if isinstance(hint, type) else hint.__metadata__[0])
            for name, hint in own.items()
        )
        cls.SIZE = RECORD_BYTES + SLOT_BYTES * len(own)
        cls.HEAD = cls.OPCODE | cls.SIZE << 32
        cls.SLOTS = attrgetter("HEAD", *own) if own else staticmethod(lambda step: (step.HEAD,))
        cls.TEXTS = tuple(i for i, (_, kind) in enumerate(cls.FIELDS, 1) if kind not in NUMBERS)


def snake_case(name: str) -> str:
    """A class's name as C writes it."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
