# SPDX-License-Identifier: Apache-2.0
"""JSON in and out, strictly, without the standard `json` package.

`import json` costs as much CPU as starting a container's namespaces, because its scanner
module compiles regular expressions (DESIGN section 7). The C scanner and encoder beneath it
live in `_json` and need neither; this module drives them.

What Python's json would let pass and this does not: duplicate keys (also those that differ
only in case: Go reads them as one), NaN and infinities, lone surrogates, NUL inside a
string, more nesting than a document of ours can have. security.md 2.19.
"""

from __future__ import annotations

import _json

from pyrunc.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

MAX_BYTES = 16 << 20
MAX_DEPTH = 64
_INFINITY = float("inf")
_CONTAINERS = (dict, list)


class _Refused(ValueError):
    """A construct that JSON (or we) do not allow; the message says which."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or len({k.lower() for k in found}) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key.lower() in seen:
                raise _Refused(f'the key "{key}" stands twice in one object')
            seen.add(key.lower())
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (_INFINITY, -_INFINITY):
        raise _Refused(f"{text} is more than a number can hold")
    return value


class _Context:
    """What `_json.make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_pairs)
    parse_float = staticmethod(_float)
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo: ClassVar[dict[str, str]] = {}


_SPACE = " \t\n\r"
_SCAN: Callable[[str, int], tuple[Any, int]] = _json.make_scanner(_Context)  # type: ignore[arg-type]  # any object with these attributes does


def loads(data: bytes, document: str = "config.json") -> Any:
    """Parse one JSON document.

    Args:
        data: the document, UTF-8.
        document: its name, for the error message.

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
    start = len(text) - len(text.lstrip(_SPACE))
    try:
        value, end = _SCAN(text, start)
    except _Refused as error:
        raise SpecError(str(error), document=document) from None
    except RecursionError:
        raise SpecError("nested too deeply", document=document) from None
    except (StopIteration, ValueError, SystemError):
        raise _explain(text, document) from None
    if text[end:].strip(_SPACE):
        end += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        raise SpecError(_place(text, end, "more text after the document"), document=document)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise SpecError("nested too deeply", document=document)
    if "\\u" in text:
        _refuse_hidden(value, document)
    return value


def _explain(text: str, document: str) -> SpecError:
    """Word a syntax error. The C scanner alone cannot: its exception lives in `json`."""
    import json

    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return SpecError(f"not valid JSON: {_place(text, error.pos, error.msg)}", document=document)
    except ValueError:
        # The interpreter's own limit (sys.set_int_max_str_digits), far above any field's.
        return SpecError("a number has too many digits", document=document)
    except RecursionError:
        return SpecError("nested too deeply", document=document)
    return SpecError("not valid JSON", document=document)


def _is_deep(value: Any) -> bool:
    """Whether containers lie in more than MAX_DEPTH levels; one pass a level, not recursive."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [
            member
            for container in level
            for member in (container.values() if type(container) is dict else container)
            if type(member) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def _place(text: str, position: int, what: str) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    what = what[:1].lower() + what[1:]
    return f"{what} at line {line}, column {column}"


def _refuse_hidden(value: Any, document: str) -> None:
    """Refuse what no path, name or variable can hold: NUL and lone surrogates.

    A raw control byte inside a string is refused by the scanner, so only an escape brings one.
    """
    text = "".join(_encode(value))
    if "\\u0000" in text.replace("\\\\", ""):
        raise SpecError("a string contains a NUL byte (\\u0000)", document=document)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SpecError("a string contains half of a surrogate pair", document=document) from None


def dumps(value: Any) -> str:
    """Compact JSON, byte for byte as Go's encoding/json prints it."""
    return "".join(_encode(value))


def dumps_indented(value: Any, indent: str) -> str:
    """JSON with one member a line, as Go's MarshalIndent prints it (no trailing newline)."""
    out: list[str] = []
    _indented(value, indent, "\n", out)
    return "".join(out)


def _quote(text: str) -> str:
    quoted = _json.encode_basestring(text)
    if "<" in quoted or ">" in quoted or "&" in quoted:
        # Go escapes these for HTML's sake; consumers compare bytes.
        quoted = quoted.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return quoted


def _refuse_value(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encode(value: Any) -> tuple[str, ...]:
    encoder = _json.make_encoder(None, _refuse_value, _quote, None, ":", ",", False, False, False)
    chunks: tuple[str, ...] = encoder(value, 0)
    return chunks


def _indented(value: Any, indent: str, newline: str, out: list[str]) -> None:
    if isinstance(value, dict) and value:
        deeper = newline + indent
        separator = "{"
        for key, member in value.items():
            out += (separator, deeper, _quote(key), ": ")
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
