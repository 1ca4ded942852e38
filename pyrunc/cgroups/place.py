# SPDX-License-Identifier: Apache-2.0
"""linux.cgroupsPath to a clean path in each hierarchy. Pure; must not touch a cgroup.

Under systemd the same property names a unit (`unit_name`). The rules are those of runc: an absolute
path starts at the mount, a relative one at this process's own cgroup, and no path at all means the
container's id.
"""

from __future__ import annotations

from pyrunc.cgroups.layout import Hierarchy, Layout
from pyrunc.errors import SpecError

POINTER = "/linux/cgroupsPath"


def place(layout: Layout, cgroups_path: str | None, container_id: str) -> list[str]:
    """The container's path in each hierarchy of the layout, below its mount.

    Args:
        layout: the host's hierarchies.
        cgroups_path: linux.cgroupsPath, None when absent.
        container_id: names the cgroup when no path does.

    Returns:
        One path per hierarchy, in the layout's order.

    Raises:
        SpecError: the path names no cgroup below the mount.
    """
    asked = cgroups_path or container_id
    if "\0" in asked:
        raise SpecError("must not contain a NUL byte", pointer=POINTER)
    if ".." in asked.split("/"):
        # runc removes it. Only an attack on another's cgroup would contain it.
        raise SpecError(f'"{asked}" must not contain ".."', pointer=POINTER)
    relative = clean(asked)
    if not relative:
        raise SpecError(f'"{asked}" names the root of the hierarchy', pointer=POINTER)
    absolute = bool(cgroups_path) and asked[0] == "/"
    return [("" if absolute else _base(layout, h)) + relative for h in layout.hierarchies]


def clean(path: str) -> str:
    """A path without "" and "." components.

    Returns:
        "" for the start itself, else "/a/b".
    """
    return "".join("/" + part for part in path.split("/") if part not in ("", "."))


def _base(layout: Layout, hierarchy: Hierarchy) -> str:
    own = hierarchy.own if hierarchy.own != "/" else ""
    # v2 allows no cgroup next to processes (the rule of no internal processes), so the
    # container goes next to this process's own cgroup there, and below it on v1.
    return own.rpartition("/")[0] if layout.kind == "v2" else own
