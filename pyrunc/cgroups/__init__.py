# SPDX-License-Identifier: Apache-2.0
"""Cgroups: what makes and removes one (`Manager`), and what is done with one (`Cgroup`).

The front door for lifecycle/ is here: `detect`, `new_manager`, and from what the state keeps
`manager_of`, `open_cgroup` and `frozen`. Nothing in this package may be imported by plan/, which
does no I/O.
"""

from __future__ import annotations

import os
from typing import Any

from pyrunc.cgroups import fs, none, place, systemd
from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.cgroups.layout import Layout, detect
from pyrunc.cgroups.manager import Manager
from pyrunc.cgroups.unit import Unit

__all__ = ["Cgroup", "Layout", "Manager", "detect", "frozen", "manager_of", "new_manager",
           "open_cgroup"]  # fmt: skip

# Controller, its file, and what that holds while nothing is frozen.
_V1_FREEZER = ("freezer", "freezer.state", b"THAWED\n")
_V2_FREEZER = ("", "cgroup.freeze", b"0\n")


def new_manager(
    layout: Layout,
    cgroups_path: str | None,
    container_id: str,
    kind: str = "fs",
    annotations: dict[str, str] | None = None,
    *,
    unprivileged: bool = False,
) -> Manager:
    """What makes the cgroup of a container that is to be created. Touches nothing.

    Args:
        layout: the host's hierarchies.
        cgroups_path: linux.cgroupsPath, None when absent.
        container_id: names the cgroup when no path does.
        kind: who makes it: "fs" or "systemd", or "none" for no cgroup.
        annotations: of config.json; systemd's manager takes properties from them.
        unprivileged: this process has no rights on the host: it is not root, or root of a user
            namespace.

    Raises:
        SpecError: the path names no cgroup, or an annotation no property.
        PyruncError: systemd is asked for and not there.
    """
    if kind == "none":
        return none.NoManager(none.NoCgroup(layout, chosen=True))
    if kind == "systemd":
        return systemd.new_manager(
            layout, cgroups_path, container_id, annotations or {}, user=unprivileged
        )
    cgroup = fs.open_cgroup(layout, place.place(layout, cgroups_path, container_id))
    if unprivileged and none.wanted(cgroup, cgroups_path):
        return none.NoManager(none.NoCgroup(layout))
    return fs.manager(cgroup)


def open_cgroup(data: dict[str, Any]) -> Cgroup:
    """The cgroup of a container that exists, from what `Manager.to_dict` gave.

    Raises:
        KeyError, TypeError, ValueError: the document is not one of ours.
    """
    layout = Layout.from_dict(data["layout"])
    if data["manager"] == "none":
        return none.NoCgroup(layout, bool(data.get("chosen")))
    inner = [str(path) for path in data["inner"]]
    if data["manager"] == "systemd":
        return systemd.UnitCgroup(layout, inner, Unit(str(data["unit"]), bool(data["user"])))
    return fs.open_cgroup(layout, inner)


def manager_of(data: dict[str, Any]) -> Manager:
    """What removes the cgroup of a container that exists; as `open_cgroup`."""
    cgroup = open_cgroup(data)
    if isinstance(cgroup, none.NoCgroup):
        return none.NoManager(cgroup)
    owned = bool(data["owned"])
    if isinstance(cgroup, systemd.UnitCgroup):
        return systemd.SystemdManager(cgroup, owned)
    return fs.manager(cgroup, owned)


def frozen(data: dict[str, Any]) -> bool:
    """As `Cgroup.frozen`, which `list` would have to open for each container.

    Raises:
        KeyError, TypeError, ValueError: the document is not one of ours.
        CgroupError: the kernel refuses to say.
    """
    rows = zip(data["layout"]["hierarchies"], data["inner"], strict=True)
    paths = {name: mount + inner for (names, mount, _), inner in rows for name in names}
    name, file, thawed = _V1_FREEZER if "freezer" in paths else _V2_FREEZER
    try:
        # By path: nobody can make a symbolic link inside a cgroup filesystem.
        fd = os.open(f"{paths[name]}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.read(fd, 16) == thawed:
                return False
        finally:
            os.close(fd)
    except (KeyError, OSError):
        pass  # it is gone, or has no freezer; or the cgroup says what is wrong
    return open_cgroup(data).frozen()
