# SPDX-License-Identifier: Apache-2.0
"""Annotations `org.systemd.property.NAME` to properties of the container's unit. Pure.

Engines pass annotations on from others, a pod's author for one, and a unit's property can be a
command that systemd runs as root (CVE-2024-3154). So only what cannot reach further than the
container is allowed, each with the type that systemd expects. Values are in GVariant's text form,
as busctl and runc take them.
"""

from __future__ import annotations

from typing import Any

from pyrunc.cgroups.unit_properties import Property
from pyrunc.errors import SpecError, json_pointer

PREFIX = "org.systemd.property."
# Name to D-Bus type. Not here: all that runs, reads or writes something (Exec*, *Path,
# *Directory, User), pulls other units in or stops them (Wants, Requires, Conflicts, ...), or
# moves the container out of its place (Slice, Delegate, PIDs, Device*).
ALLOWED = {
    "After": "as",
    "Before": "as",
    "CollectMode": "s",
    "DefaultDependencies": "b",
    "Description": "s",
    "Documentation": "as",
    "KillMode": "s",
    "KillSignal": "i",
    "FinalKillSignal": "i",
    "SendSIGKILL": "b",
    "SendSIGHUP": "b",
    "TimeoutStopUSec": "t",
    "RuntimeMaxUSec": "t",
    "OOMPolicy": "s",
    "ManagedOOMSwap": "s",
    "ManagedOOMMemoryPressure": "s",
    "ManagedOOMMemoryPressureLimit": "u",
    "ManagedOOMPreference": "s",
    "CPUAccounting": "b",
    "MemoryAccounting": "b",
    "TasksAccounting": "b",
    "IOAccounting": "b",
    "IPAccounting": "b",
    "CPUWeight": "t",
    "StartupCPUWeight": "t",
    "CPUQuotaPerSecUSec": "t",
    "CPUQuotaPeriodUSec": "t",
    "IOWeight": "t",
    "StartupIOWeight": "t",
    "MemoryMin": "t",
    "MemoryLow": "t",
    "MemoryHigh": "t",
    "MemoryMax": "t",
    "MemorySwapMax": "t",
    "MemoryZSwapMax": "t",
    "TasksMax": "t",
}
_RANGES = {
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "t": (0, (1 << 64) - 1),
}
# What GVariant's text form may put before a number.
_NUMBER_WORDS = ("byte", "int16", "uint16", "int32", "uint32", "int64", "uint64", "handle")
_SECONDS = 1_000_000


def properties(annotations: dict[str, str]) -> list[Property]:
    """The properties that annotations ask for.

    Args:
        annotations: of config.json.

    Raises:
        SpecError: a property is not allowed, or its value is not of its type.
    """
    return [
        _property(key, key.removeprefix(PREFIX), text)
        for key, text in annotations.items()
        if key.startswith(PREFIX)
    ]


def _property(key: str, name: str, text: str) -> Property:
    pointer = json_pointer("annotations", key)
    seconds = name.endswith("Sec") and not name.endswith("USec")
    if seconds:
        # As runc: people write seconds, systemd's bus knows microseconds.
        name = name[: -len("Sec")] + "USec"
    kind = ALLOWED.get(name)
    if kind is None:
        raise SpecError(
            f'the unit property "{name}" must not be set by an annotation',
            pointer=pointer,
            hint="allowed are: " + ", ".join(sorted(ALLOWED)),
        )
    try:
        value = _seconds(text) if seconds else _value(kind, text.strip())
    except ValueError:
        raise SpecError(f"{text} is not a valid value of type {kind}", pointer=pointer) from None
    return name, kind, value


def _seconds(text: str) -> int:
    words = text.split()
    if len(words) == 2 and words[0] in (*_NUMBER_WORDS, "double"):
        words = words[1:]
    value = float(words[0]) * _SECONDS if len(words) == 1 else -1.0
    if not 0 <= value < 1 << 63:
        raise ValueError(text)
    return int(value)


def _value(kind: str, text: str) -> Any:
    if kind == "b":
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if kind == "s":
        return _string(text)
    if kind == "as":
        return _strings(text)
    words = text.split()
    if len(words) == 2 and words[0] in _NUMBER_WORDS:
        words = words[1:]
    low, high = _RANGES[kind]
    number = int(words[0], 0) if len(words) == 1 else low - 1
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _string(text: str) -> str:
    inside = text[1:-1]
    # No escapes: none of the allowed properties needs one, and a wrong reading could hurt.
    if (
        len(text) < 2
        or text[0] != text[-1]
        or text[0] not in "'\""
        or any(letter in inside for letter in ("\\", "\0", "\n", text[0]))
    ):
        raise ValueError(text)
    return inside


def _strings(text: str) -> list[str]:
    text = text.removeprefix("@as").strip()
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(text)
    inside = text[1:-1].strip()
    return [_string(part.strip()) for part in inside.split(",")] if inside else []
