# SPDX-License-Identifier: Apache-2.0
"""JSON in and out, as strict as Go's and byte for byte as Go prints it.

What Python's json would let pass and this does not: duplicate keys, NaN and infinities, lone
surrogates, NUL inside a string, more nesting than a document of ours can have.
A caller that collects warnings gets what Go's json accepts as well: text after the document, half
a surrogate pair, and duplicate keys, which are refused where that object is read (`Repeated`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import chain, compress
from typing import Any

from pyrunc.errors import SpecError, json_pointer

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_NAMES = 65536
_INFINITY = float("inf")


class _Refused(ValueError):
    """A construct that JSON (or we) do not allow; the message says which."""


class Repeated(dict[str, "Any"]):
    """An object with a duplicate key. None of our readers takes it for a dict."""

    __slots__ = ("key",)

    key: str


_CONTAINERS = frozenset((dict, list, Repeated))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    repeated = Repeated(found)
    for key, _ in pairs:
        if key in seen:
            repeated.key = key
            break
        seen.add(key)
    return repeated


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _pairs(pairs)
    if type(found) is Repeated:
        raise _Refused(f'the key "{found.key}" stands twice in one object')
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (_INFINITY, -_INFINITY):
        raise _Refused(f"{text} is more than a number can hold")
    return value


def _decoder(pairs: Callable[[list[tuple[str, Any]]], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs, parse_float=_float, parse_constant=_constant, strict=True
    )


_SPACE = " \t\n\r"
_LENIENT, _STRICT = _decoder(_pairs), _decoder(_pairs_once)
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def loads(data: bytes, document: str = "config.json", warnings: list[str] | None = None) -> Any:
    """Parse one JSON document.

    Args:
        data: the document, UTF-8.
        document: its name, for the error message.
        warnings: collects what is odd and accepted as other runtimes do; None refuses it.

    Returns:
        dict, list, str, int, float, bool or None.

    Raises:
        SpecError: the bytes are not one strict JSON document.
    """
    if len(data) > MAX_BYTES:
        raise SpecError(
            f"{len(data)} bytes are more than the {MAX_BYTES >> 20} MiB that are read",
            document=document,
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8 at byte {error.start}", document=document) from None
    if len(data) > MAX_NAMES and data.count(b":") > MAX_NAMES:
        _refuse_many_names(text, document)
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = (_STRICT if warnings is None else _LENIENT).raw_decode(text, start)
    except _Refused as error:
        raise SpecError(str(error), document=document) from None
    except json.JSONDecodeError as error:
        where = _place(text, error.pos, error.msg)
        raise SpecError(f"not valid JSON: {where}", document=document) from None
    except ValueError:
        # The interpreter's own limit (sys.set_int_max_str_digits), far above any field's.
        raise SpecError("a number has too many digits", document=document) from None
    except RecursionError:
        raise SpecError("nested too deeply", document=document) from None
    if text[end:].strip(_SPACE):
        end += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        after = _place(text, end, "more text after the document")
        if warnings is None:
            raise SpecError(after, document=document)
        warnings.append(f"{after}, ignored")
    # A document of ours has few levels. One of a caller has as many as its typed reader knows, and
    # that one asks `is_deep` of what it does not know.
    escapes = "\\u" in text
    if (warnings is None or escapes) and _has_many(data) and is_deep(value):
        raise SpecError("nested too deeply", document=document)
    return _without_hidden(value, document, warnings) if escapes else value


def _refuse_many_names(text: str, document: str) -> None:
    """Bound what is hashed, over all objects: the scanner keeps every name that it has seen.

    The static executable's hash key is public (docs/static.md): an attacker who finds names with
    one hash can make each cost as much as all before it. So these are sorted and compared, never
    hashed.
    """
    # Possessive: nothing is read twice, not even where the last string is unterminated, so that
    # the time is linear in the document's length. The scanner will report that one.
    string = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"?+(\s*+:)?'
    found = sorted((m[1], m.start()) for m in re.finditer(string, text, re.DOTALL) if m[2])
    first = []
    before = None
    for name, place in found:
        if name != before:
            first.append(place)
        before = name
    if len(first) > MAX_NAMES:
        what = f"more than {MAX_NAMES} names of members"
        raise SpecError(_place(text, sorted(first)[MAX_NAMES], what), document=document)


def _has_many(data: bytes) -> bool:
    """Whether there are enough brackets for a deep document."""
    return data.count(b"[") + data.count(b"{") > MAX_DEPTH


def is_deep(value: Any) -> bool:
    """Whether containers lie in more than MAX_DEPTH levels; one pass a level, not recursive."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        # A dict's keys are strings, which hold nothing: they may stand among the members.
        objects = [found for found in level if type(found) is not list]
        members = [*chain.from_iterable(level), *chain.from_iterable(map(dict.values, objects))]
        inner = compress(members, map(_CONTAINERS.__contains__, map(type, members)))
        # Each once: a program's dict may hold one object many times, or itself.
        level = list({id(one): one for one in inner}.values())
        if not level:
            return False
    return True


def _place(text: str, position: int, what: str) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    what = what[:1].lower() + what[1:]
    return f"{what} at line {line}, column {column}"


def _without_hidden(value: Any, document: str, warnings: list[str] | None) -> Any:
    """Look for what no path, name or variable can hold: NUL and lone surrogates.

    A raw control byte inside a string is refused by the scanner, so only an escape brings one.
    """
    text = _ENCODER.encode(value)
    if "\\u0000" in text.replace("\\\\", ""):
        raise SpecError(
            "a string contains a NUL byte (\\u0000)",
            pointer=_pointer(value, lambda found: "\0" in found),
            document=document,
        )
    if not _is_half(text):
        return value
    pointer = _pointer(value, _is_half)
    if warnings is None:
        what = "a string contains half of a surrogate pair"
        raise SpecError(what, pointer=pointer, document=document)
    warnings.append(f"{pointer}: half of a surrogate pair is read as U+FFFD")
    return _whole(value)


def _is_half(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _whole(value: Any) -> Any:
    """A value with U+FFFD for lone surrogates. Its depth has been checked."""
    if isinstance(value, dict):
        if type(value) is Repeated:
            return value  # that is worse, and its reader reports it
        return {_whole(key): _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(member) for member in value]
    if isinstance(value, str) and _is_half(value):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _pointer(value: Any, wrong: Callable[[str], bool], base: str = "") -> str:
    """The pointer of the first string that is wrong, of the object for a key; "" for none."""
    if isinstance(value, str):
        return base if wrong(value) else ""
    rows: Any = ()
    if isinstance(value, dict):
        if any(map(wrong, value)):
            return base or "/"
        rows = value.items()
    elif isinstance(value, list):
        rows = enumerate(value)
    for key, member in rows:
        if found := _pointer(member, wrong, base + json_pointer(key)):
            return found
    return ""


def dumps(value: Any) -> str:
    """Compact JSON, byte for byte as Go's encoding/json prints it."""
    text = _ENCODER.encode(value)
    if "<" in text or ">" in text or "&" in text:
        # Go escapes these for HTML's sake; consumers compare bytes. They occur in strings only.
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def dumps_indented(value: Any, indent: str) -> str:
    """JSON with one member a line, as Go's MarshalIndent prints it (no trailing newline)."""
    out: list[str] = []
    _indented(value, indent, "\n", out)
    return "".join(out)


def _indented(value: Any, indent: str, newline: str, out: list[str]) -> None:
    if isinstance(value, dict) and value:
        deeper = newline + indent
        separator = "{"
        for key, member in value.items():
            out += (separator, deeper, dumps(key), ": ")
            _indented(member, indent, deeper, out)
            separator = ","
        out += (newline, "}")
    elif isinstance(value, list | tuple) and value:
        deeper = newline + indent
        separator = "["
        for member in value:
            out += (separator, deeper)
            _indented(member, indent, deeper, out)
            separator = ","
        out += (newline, "]")
    else:
        out.append(dumps(value))
