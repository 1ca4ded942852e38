# SPDX-License-Identifier: Apache-2.0
"""resources.unified to files of cgroup v2. Pure; must not touch a cgroup.

The names come from config.json and become file names: only what can be a limit passes
(security.md R16; GHSA-5g49-rx9x-qfc6).
"""

from __future__ import annotations

from pyrunc.cgroups.limits import BYTES, TEXT, WRITTEN, Limit
from pyrunc.errors import SpecError

# The capitals are those of huge page sizes: hugetlb.2MB.max.
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_.KMGB"
_BASE = "/linux/resources/unified"
# Of the core's own files these are limits; the others move, kill, freeze or retype.
CORE = ("cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure")
# Files that read as they are written; others (io.max, ...) read in a form of their own.
_PLAIN = ("pids.max", "cpu.weight", "cpu.idle")
_SIZES = ("memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max")


def limits(unified: dict[str, str]) -> list[Limit]:
    """The values, in the order of the document.

    Raises:
        SpecError: a name is not that of a limit.
    """
    found = []
    for name, value in unified.items():
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        _check(name, value, _BASE + pointer)
        compare = BYTES if name in _SIZES and value.isdigit() else WRITTEN
        if name in _PLAIN:
            compare = TEXT
        found.append(Limit(name, value.strip("\n"), "/unified" + pointer, compare=compare))
    return found


def controllers(unified: dict[str, str]) -> dict[str, str]:
    """The controllers that must be there, each with the pointer of what asks for it."""
    names = (n for n in unified if not n.startswith("cgroup."))
    return {n.partition(".")[0]: f"{_BASE}/{n}" for n in names}


def _check(name: str, value: str, pointer: str) -> None:
    if name.strip(_LETTERS):
        raise SpecError(f'unified resource "{name}" must be a file name', pointer=pointer)
    controller, dot, rest = name.partition(".")
    if not (controller and dot and rest):
        raise SpecError(
            f'unified resource "{name}" must be in the form CONTROLLER.PARAMETER', pointer=pointer
        )
    if controller == "cgroup" and name not in CORE:
        raise SpecError(f'unified resource "{name}" is not a limit', pointer=pointer)
    if "\0" in value:
        raise SpecError("must not hold a NUL byte", pointer=pointer)
