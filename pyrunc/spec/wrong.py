# SPDX-License-Identifier: Apache-2.0
"""A value that breaks its field's kind, and the words for it.

This module must not know which kinds there are.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, json_pointer


class Wrong(Exception):  # never leaves the decoder: SpecError is what users see
    """A value breaks its field's kind.

    Args:
        message: what is wrong.
        hint: what to write instead.
        key: the member at fault, where the object itself is at fault for it.
        plain: the message without the value, where the value is in it.
    """

    def __init__(
        self, message: str, hint: str = "", key: str | None = None, plain: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.plain = plain
        self.keys: list[str | int] = [] if key is None else [key]

    def error(self, document: str, base: str = "") -> SpecError:
        """The same as a SpecError, with the JSON pointer of the value."""
        pointer = base + json_pointer(*reversed(self.keys))
        return SpecError(self.message, pointer=pointer, hint=self.hint, document=document)


_TYPE_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a fraction",
    type(None): "null",
}
SHOWN = 40


def describe(value: object) -> str:
    """A JSON value in words, for "must be X, not ...": `a string ("abc")`."""
    name = _TYPE_NAMES.get(type(value), f"a Python {type(value).__name__}")
    if type(value) is str:
        return f'{name} ("{value[:SHOWN]}{"..." if len(value) > SHOWN else ""}")'
    if type(value) is bool:
        return f"{name} ({'true' if value else 'false'})"
    if type(value) is int or type(value) is float:
        return f"{name} ({number(value)})"
    return name


def number(value: int | float) -> str:
    # Python refuses to print an integer of more than 4300 digits, with an exception.
    return str(value) if abs(value) < 1 << 80 or type(value) is float else "a huge number"


def wrong_type(expected: str, value: object, hint: str = "") -> Wrong:
    """The refusal of a value of the wrong JSON type."""
    kind = _TYPE_NAMES.get(type(value), "something else")
    plain = f"must be {expected}, not {kind}"
    return Wrong(f"must be {expected}, not {describe(value)}", hint, plain=plain)
