# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath under systemd: "slice:prefix:name" to a unit and its cgroup. Pure.

The rules are those of runc: engines compute the same paths themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyrunc.errors import SpecError

POINTER = "/linux/cgroupsPath"
ROOT_SLICE = "-.slice"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255  # systemd's UNIT_NAME_MAX


@dataclass(slots=True)
class UnitName:
    """The unit that is to hold a container.

    Args:
        name: "runc-web.scope", or a slice's own name.
        slice: the slice it is in, unexpanded: "machine-web.slice".
        path: its cgroup below the manager's own, "/machine.slice/machine-web.slice/...".
    """

    name: str
    slice: str
    path: str

    @property
    def is_slice(self) -> bool:
        """A slice instead of a scope: it takes no processes from StartTransientUnit."""
        return self.name.endswith(".slice")


def parse(cgroups_path: str | None, container_id: str, *, user: bool) -> UnitName:
    """The unit that a cgroupsPath asks for.

    Args:
        cgroups_path: linux.cgroupsPath, None when absent.
        container_id: names the unit when no path does.
        user: the unit is one of a user's session.

    Raises:
        SpecError: it is not of that form, or names no possible unit.
    """
    parts = (cgroups_path or f":runc:{container_id}").split(":")
    if len(parts) != 3:
        raise SpecError(
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
            f'got "{cgroups_path}" instead',
            pointer=POINTER,
        )
    parent, prefix, name = parts
    parent = parent or ("user.slice" if user else "system.slice")
    if parent == "-":
        parent = ROOT_SLICE
    if not name:
        raise SpecError(f'"{cgroups_path}" has no name after the last colon', pointer=POINTER)
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope"
    if name.endswith(".slice"):
        expand(name)  # its name has to be that of a slice
    if len(unit) > _LONGEST or not _LETTERS.issuperset(unit):
        raise SpecError(f'"{unit}" is not a valid unit name', pointer=POINTER)
    return UnitName(unit, parent, f"{expand(parent)}/{unit}")


def expand(name: str) -> str:
    """The cgroup of a slice: "a-b.slice" is "/a.slice/a-b.slice", "-.slice" the root, "".

    Raises:
        SpecError: it is not the name of a slice.
    """
    if name == ROOT_SLICE:
        return ""
    stem = name.removesuffix(".slice")
    levels = stem.split("-")
    valid = name.endswith(".slice") and all(levels) and _LETTERS.issuperset(name)
    if not valid or len(name) > _LONGEST or ":" in name:
        raise SpecError(f"invalid slice name: {name}", pointer=POINTER)
    grown = ("-".join(levels[: end + 1]) for end in range(len(levels)))
    return "".join(f"/{level}.slice" for level in grown)
