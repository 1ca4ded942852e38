# SPDX-License-Identifier: Apache-2.0
"""What is probably misspelt: unknown members, mount options that do nothing.

config.md requires unknown members to be ignored; that one of them was meant to restrict
something is for people to know. Loaded only when a document has such. This module must not
decide what a document means.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pyrunc.errors import SpecError, json_pointer
from pyrunc.spec.fields import Field, Model, folded
from pyrunc.spec.names import (
    MOUNT_EXTENSION_OPTIONS,
    MOUNT_FLAG_OPTIONS,
    MOUNT_RECURSIVE_OPTIONS,
    PROPAGATIONS,
)

# Shorter words have too many others within one edit.
_SHORTEST = 4
# Other tools' words for an option of a bind mount.
_SYNONYMS = {
    "readonly": "ro", "readwrite": "rw", "rdonly": "ro", "writable": "rw", "recursive": "rbind",
}  # fmt: skip


def tidy(cls: type[Model], raw: dict[str, Any], warnings: list[str], base: str = "") -> Any:
    """A decoded JSON object as it was understood: with the table's names.

    Args:
        cls: the class that it was decoded to, without an error.
        raw: the object; stays as it is.
        warnings: what was understood in another way than written, or ignored, is appended here.
        base: its JSON pointer.

    Returns:
        The object, for code that reads its members by name.
    """
    found = folded(cls, raw)
    for name in raw:
        if name not in cls.FIELDS:
            _warn(name, cls, base, warnings)
    for name, field in cls.FIELDS.items():
        if found.get(name) is not None:
            found[name] = _tidy_value(field, found[name], warnings, base + json_pointer(name))
    return found


def _warn(name: str, cls: type[Model], base: str, warnings: list[str]) -> None:
    where = base + json_pointer(name)
    for known in cls.FIELDS:
        if known.lower() == name.lower():
            warnings.append(f'{where}: taken for "{known}"; the specification\'s names have case')
            return
    if likely := near(name, cls.FIELDS):
        warnings.append(f'{where}: unknown and ignored; is it "{likely}"?')


def _tidy_value(field: Field, value: Any, warnings: list[str], base: str) -> Any:
    item = field.item
    if item is None:
        return value
    if isinstance(value, list):
        if isinstance(item, Field):
            return value
        return [tidy(item, one, warnings, f"{base}/{index}") for index, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if not isinstance(item, Field) and not field.free:
        return tidy(item, value, warnings, base)
    found = {}
    for key, member in value.items():
        where = base + json_pointer(key)
        if member is None:
            warnings.append(f'{where}: null is taken for ""')
            found[key] = ""
        elif isinstance(item, Field):
            found[key] = member
        else:
            found[key] = tidy(item, member, warnings, where)
    return found


def near(word: str, known: Collection[str]) -> str:
    """The known word that differs in one letter (more, less, another, two swapped), or ""."""
    if len(word) < _SHORTEST - 1:
        return ""
    lower = word.lower()
    for one in known:
        if len(one) >= _SHORTEST and one != word and _is_one_edit(lower, one.lower()):
            return one
    return ""


def _is_one_edit(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    left, right = a[start:], b[start:]
    if len(a) != len(b):
        return left[1:] == right or left == right[1:]
    swapped = left[:2] == right[:2][::-1] and left[2:] == right[2:]
    return swapped or left[1:] == right[1:]


_BIND_OPTIONS = frozenset(
    (
        *MOUNT_FLAG_OPTIONS,
        *MOUNT_EXTENSION_OPTIONS,
        *MOUNT_RECURSIVE_OPTIONS,
        *PROPAGATIONS,
        "",
    )
)


def check_bind_options(options: tuple[str, ...], base: str, warnings: list[str]) -> None:
    """Look for options of a bind mount that do nothing there.

    mount(2) ignores a filesystem's options when it binds, and real bundles have them. One
    that was meant to be a bind's own is refused: "readonly" would leave a directory of the host
    writable.

    Args:
        options: of the mount.
        base: their JSON pointer.
        warnings: collects the others.

    Raises:
        SpecError: the option is nearly one of a bind mount.
    """
    for index, option in enumerate(options):
        if option in _BIND_OPTIONS:
            continue
        where = f"{base}/{index}"
        # Also as "readonly=true" or in one word with others, "ro,nosuid".
        first = option.replace("=", ",").partition(",")[0]
        plain = "".join(letter for letter in first.lower() if letter.isalnum())
        likely = plain if plain in _BIND_OPTIONS else _SYNONYMS.get(plain, "")
        likely = likely or ("" if "=" in option else near(option, _BIND_OPTIONS))
        if likely:
            raise SpecError(
                f'"{option}" does nothing on a bind mount', pointer=where, hint=f"write {likely}"
            )
        warnings.append(f'{where}: "{option}" does nothing on a bind mount')
