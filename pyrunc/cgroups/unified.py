# SPDX-License-Identifier: Apache-2.0
"""resources.unified to files of cgroup v2. Pure; must not touch a cgroup.

The names come from config.json and become file names: only what can be a limit passes
(GHSA-5g49-rx9x-qfc6).
"""

from __future__ import annotations

from pyrunc.cgroups.write import BYTES, FLAG, KEYED, LIST, PAIR, TEXT, WRITTEN, Limit
from pyrunc.cgroups.write import size as bytes_of
from pyrunc.errors import SpecError, json_pointer

# The capitals are those of huge page sizes: hugetlb.2MB.max.
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_.KMGB"
# Of the core's own files these are limits; the others move, kill, freeze or retype.
CORE = ("cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure")
_COMPARED = {"cpu.max": PAIR, "cpuset.cpus": LIST, "cpuset.mems": LIST}
_SIZES = ("memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max",
          "memory.swap.high", "memory.zswap.max")  # fmt: skip
_NUMBERS = ("pids.max", "cpu.weight", "cpu.idle", "cpu.max.burst", "memory.oom.group",
            "cgroup.max.depth", "cgroup.max.descendants")  # fmt: skip
_DEVICES = ("io.max", "rdma.max", "io.weight", "io.bfq.weight")


def limits(unified: dict[str, str], base: str) -> list[Limit]:
    """The values, in the order of the document.

    Args:
        unified: resources.unified.
        base: JSON pointer of the resources object.

    Raises:
        SpecError: a name is not that of a limit.
    """
    found = []
    for name, value in unified.items():
        _check(name, value, base + json_pointer("unified", name))
        # An empty text would not reach the kernel; a line break empties what can be empty.
        written = value.strip("\n") or "\n"
        compare, unit = comparison(name, written)
        pointer = json_pointer("unified", name)
        found.append(Limit(name, written, pointer, compare=compare, unit=unit))
    return found


def comparison(name: str, value: str) -> tuple[str, int]:
    """How to see that a file kept a value, and the unit of bytes in it.

    What is not listed here, the kernel's newer files among it, reads in a form of its own.
    """
    if name in _COMPARED:
        return _COMPARED[name], 0
    # A leading 0 would be octal, or hexadecimal: left to the kernel.
    plain = value in ("max", "0") or value[0] in "123456789"
    if name in _NUMBERS and plain:
        return TEXT, 0
    if name in _DEVICES:
        default = "\n" not in value and (" " not in value or value.startswith("default"))
        return (FLAG if default else KEYED), 0
    unit = _unit(name)
    if unit >= 0 and plain and (value in ("0", "max") or _is_size(value)):
        return BYTES, unit
    return (TEXT if value == "\n" else WRITTEN), 0


def _unit(name: str) -> int:
    """The unit of a file that holds a number of bytes, 0 for pages; -1 for other files."""
    if name in _SIZES:
        return 0
    parts = name.split(".")
    if parts[0] == "hugetlb" and parts[-1] == "max" and _is_size(parts[1][:-1]):
        return bytes_of(parts[1][:-1])
    return -1


def _is_size(text: str) -> bool:
    """Whether a text is a number of bytes."""
    try:
        return bytes_of(text) > 0
    except ValueError:
        return False


def controllers(unified: dict[str, str], base: str) -> dict[str, str]:
    """The controllers that must be there, each with the pointer of what asks for it."""
    names = (n for n in unified if not n.startswith("cgroup."))
    return {n.partition(".")[0]: base + json_pointer("unified", n) for n in names}


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
