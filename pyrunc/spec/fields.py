# SPDX-License-Identifier: Apache-2.0
"""How one JSON value becomes one attribute: the field kinds and the one generic decoder.

A member of a class of the model names its `Field`; everything about types, ranges and required
members is said there and nowhere else. This module must not know any property of OCI by name.

A pointer ("/mounts/3/type") is only needed when something is wrong. So a kind raises `Wrong`
without one, and each level on the way up adds the key it was reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar, TypeVar, dataclass_transform

from pyrunc.jsontext import Repeated, is_deep
from pyrunc.spec.wrong import SHOWN, Wrong, describe, number, wrong_type

T = TypeVar("T", bound="Model")

# A list inside a config.json of 16 MiB could otherwise hold millions.
MAX_ITEMS = 200_000


@dataclass(slots=True)
class Field:
    """How a member is read.

    Args:
        decode: makes the attribute from the JSON value, or raises Wrong.
        expected: what the value has to be, in words.
        absent: the attribute's value when the member is absent or null.
        make: called for that value where it must not be shared.
        required: whether the member has to be there.
        attribute: the attribute's name.
        item: what a list, map or object consists of: a class of the model, or a kind.
        free: an object with free member names.
    """

    decode: Callable[[Any], Any]
    expected: str
    absent: Any = None
    make: Callable[[], Any] | None = None
    required: bool = False
    attribute: str = ""
    item: type[Model] | Field | None = None
    free: bool = False


class Model:
    """Base of the classes that `json_object` decorates.

    Immutable by convention: a plan is compiled from it, later changes would not be seen.
    """

    __slots__ = ()
    FIELDS: ClassVar[dict[str, Field]] = {}
    # From the table, once a class: attribute and decoder of each member, and what has to be there.
    DECODERS: ClassVar[dict[str, tuple[str, Callable[[Any], Any]]]]
    REQUIRED: ClassVar[list[tuple[str, Field]]]

    def __repr__(self) -> str:
        # Only what differs from an absent member: a Linux() has seventeen.
        members = {f.attribute: getattr(self, f.attribute) for f in self.FIELDS.values()}
        shown = [
            f"{name}={value!r}"
            for name, value in members.items()
            if value not in (None, (), {}) and value is not False
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass_transform(kw_only_default=True)
def json_object(cls: type[T]) -> type[T]:
    """Make a class a dataclass, and a table of its members for the decoder."""
    made = dataclass(slots=True, kw_only=True, repr=False)(cls)
    made.FIELDS = {}
    for member in fields(made):  # type: ignore[arg-type]
        if "name" in member.metadata:
            name = member.metadata["name"] or member.name
            made.FIELDS[name] = replace(member.metadata["field"], attribute=member.name)
    rows = made.FIELDS.items()
    made.DECODERS = {name: (kind.attribute, kind.decode) for name, kind in rows}
    made.REQUIRED = [(name, kind) for name, kind in rows if kind.required]
    return made


def required(kind: Field, name: str = "") -> Any:
    """A member that has to be there; with its JSON name where that is a Python keyword."""
    return field(metadata={"name": name, "field": replace(kind, required=True)})


def optional(kind: Field, absent: Any = None) -> Any:
    """A member that may be absent or null; with its value then, where it is not the kind's."""
    kind = kind if absent is None else replace(kind, absent=absent)
    metadata = {"name": "", "field": kind}
    if kind.make is not None:
        return field(default_factory=kind.make, metadata=metadata)
    return field(default=kind.absent, metadata=metadata)


# How often something was decoded that is odd but not wrong. load.py compares it before and after a
# document; only if it has changed, spelling.py looks for the places. (Another thread that decodes
# at the same time makes it look once too often.)
ODD = [0]


def decode_object(cls: type[T], raw: object) -> T:
    """Decode one JSON object by its class's table.

    Args:
        cls: the class.
        raw: the JSON value.

    Returns:
        The object, every attribute set.

    Raises:
        Wrong: the value is not an object, or one of its members is wrong.
    """
    if type(raw) is not dict:
        raise _no_object(raw)
    for name, kind in cls.REQUIRED:
        if raw.get(name) is None:
            if not raw.keys() <= cls.FIELDS.keys():
                break
            raise Wrong(f"is required and must be {kind.expected}", key=name)
    found: dict[str, Any] = {}
    decoders = cls.DECODERS
    name = ""
    try:
        for name, value in raw.items():
            attribute, decode = decoders[name]
            if value is not None:
                found[attribute] = decode(value)
    except Wrong as wrong:
        wrong.keys.append(name)
        raise
    except KeyError:
        if name in decoders:
            raise
        return decode_object(cls, _known(cls, raw))
    return cls(**found)


def _known(cls: type[T], raw: dict[Any, Any]) -> dict[str, Any]:
    """Of an object with other members those that the table has, by its spelling of their names."""
    ODD[0] += 1
    if is_deep(raw):
        raise Wrong("nested too deeply")
    members = folded(cls, raw)
    return {name: value for name, value in members.items() if name in cls.FIELDS}


def _no_object(raw: object) -> Wrong:
    if type(raw) is Repeated:
        return Wrong("stands twice in one object", "keep one of the two", raw.key)
    return wrong_type("an object", raw)


def folded(cls: type[Model], raw: dict[Any, Any]) -> dict[str, Any]:
    """An object with the table's spelling of names that differ from it in case only.

    Unknown members are ignored, as the specification requires; these are not: Go matches keys
    without regard to case, and ignoring "noNewprivileges" would silently drop a restriction.

    Raises:
        Wrong: a member is there in both spellings: runtimes differ in which one counts.
    """
    names = {name.lower(): name for name in cls.FIELDS}
    found = dict(raw)
    for key in raw:
        if type(key) is not str:
            raise Wrong(f"member names must be strings, not {describe(key)}")
        name = names.get(key.lower())
        if name is None or name == key:
            continue
        if name in found:
            raise Wrong(f'is "{name}" a second time', "keep one of the two", key)
        found[name] = found.pop(key)
    return found


# --- the kinds ----------------------------------------------------------------------------


def _boolean(value: object) -> bool:
    if value is True or value is False:
        return value
    hint = "write it without quotes" if value in ("true", "false") else ""
    raise wrong_type("true or false", value, hint)


def _string(value: object) -> str:
    if type(value) is not str:
        hint = "put it in quotes" if type(value) is int or type(value) is float else ""
        raise wrong_type("a string", value, hint)
    if "\0" in value:
        # jsontext refuses it too, but a library caller's dict has not been through that.
        raise Wrong("contains a NUL byte, which no path, name or variable can hold")
    return value


def _strings(value: object) -> tuple[str, ...]:
    if type(value) is not list:
        hint = f'write ["{value}"]' if type(value) is str and len(value) < SHOWN else ""
        raise wrong_type("a list of strings", value, hint)
    _refuse_long(value)
    try:
        # All at once: a profile has hundreds of names, and next to never a wrong one.
        right = "\0" not in "".join(value)
    except TypeError:
        right = False
    if not right:
        for position, item in enumerate(value):
            try:
                _string(item)
            except Wrong as wrong:
                wrong.keys.append(position)
                raise
    return tuple(value)


def _refuse_long(value: list[Any] | dict[str, Any]) -> None:
    if len(value) > MAX_ITEMS:
        raise Wrong(f"has {len(value)} items, more than the {MAX_ITEMS} that are read")


def _integer(low: int, high: int) -> Field:
    expected = f"an integer from {low} to {high}"

    def decode(value: object) -> int:
        if type(value) is not int:
            raise wrong_type(expected, value, _integer_hint(value))
        if not low <= value <= high:
            raise Wrong(f"must be {expected}, not {number(value)}")
        return value

    return Field(decode, expected)


def _integer_hint(value: object) -> str:
    if type(value) is float and value == value // 1 and abs(value) < 1 << 53:
        return f"write {int(value)}"
    if type(value) is str and value.isascii() and value.removeprefix("-").isdigit():
        return "write it without quotes"
    return ""


def one(cls: type[Model]) -> Field:
    """An object of that class; None when absent."""
    return Field(partial(decode_object, cls), "an object", item=cls)


def one_or_empty(cls: type[Model]) -> Field:
    """An object of that class; an empty one when absent."""
    return Field(partial(decode_object, cls), "an object", make=cls, item=cls)


def many(item: type[Model] | Field) -> Field:
    """A list of objects or of one kind, as a tuple; () when absent."""

    def decode(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise wrong_type("a list", value)
        _refuse_long(value)
        read = _reader(item)
        found: list[Any] = []
        try:
            for member in value:
                found.append(read(member))
        except Wrong as wrong:
            wrong.keys.append(len(found))
            raise
        return tuple(found)

    return Field(decode, "a list", (), item=item)


def secret(kind: Field) -> Field:
    """The same kind for what may hold passwords: its errors say where and why, not the value."""

    def decode(value: object) -> Any:
        try:
            return kind.decode(value)
        except Wrong as wrong:
            if wrong.plain:
                wrong.message, wrong.hint = wrong.plain, ""
            raise

    return replace(kind, decode=decode)


def mapping(item: type[Model] | Field, null: str | None = None) -> Field:
    """An object with free member names, as a dict; {} when absent.

    Args:
        item: what its members are.
        null: what a null member stands for, as Go has it; None refuses it.
    """

    def decode(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise _no_object(value)
        _refuse_long(value)
        read = _reader(item)
        found: dict[str, Any] = {}
        for key, member in value.items():
            try:
                if member is None and null is not None:
                    ODD[0] += 1
                    found[_string(key)] = null
                else:
                    found[_string(key)] = read(member)
            except Wrong as wrong:
                wrong.keys.append(str(key))
                raise
        return found

    return Field(decode, "an object", make=dict, item=item, free=True)


def _reader(item: type[Model] | Field) -> Callable[[Any], Any]:
    if isinstance(item, Field):
        return item.decode
    return partial(decode_object, item)


BOOL = Field(_boolean, "true or false", False)
BOOL_OR_NONE = Field(_boolean, "true or false")
STRING = Field(_string, "a string")
STRINGS = Field(_strings, "a list of strings", (), item=STRING)
STRINGS_OR_NONE = Field(_strings, "a list of strings", item=STRING)
STRING_MAP = mapping(STRING)
STRING_MAP_OR_NULL = mapping(STRING, null="")
SECRETS = secret(STRINGS)
SECRETS_OR_NONE = secret(STRINGS_OR_NONE)
SECRET_MAP = secret(STRING_MAP_OR_NULL)
UINT16 = _integer(0, (1 << 16) - 1)
UINT32 = _integer(0, (1 << 32) - 1)
UINT64 = _integer(0, (1 << 64) - 1)
INT32 = _integer(-(1 << 31), (1 << 31) - 1)
INT64 = _integer(-(1 << 63), (1 << 63) - 1)
