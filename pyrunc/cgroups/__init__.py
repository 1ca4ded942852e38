# SPDX-License-Identifier: Apache-2.0
"""Cgroups: one small driver protocol, one file per controller, the device filter.

The front door for lifecycle/ is here: `detect`, `new`, `from_dict`. Nothing in this package
may be imported by plan/, which does no I/O.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroups.driver import Driver as Driver
    from pyrunc.cgroups.fs_v1 import LegacyDriver
    from pyrunc.cgroups.fs_v2 import UnifiedDriver
    from pyrunc.cgroups.layout import Layout as Layout


def __getattr__(name: str) -> object:
    # `cgroups.Layout` and `cgroups.Driver`, without loading them for who only names them.
    if name == "Layout":
        from pyrunc.cgroups.layout import Layout as found  # noqa: N813

        return found
    if name == "Driver":
        from pyrunc.cgroups.driver import Driver as driver  # noqa: N813

        return driver
    raise AttributeError(name)


def detect() -> Layout:
    """Find the cgroup hierarchies of this host.

    Raises:
        PyruncError: none is mounted.
    """
    from pyrunc.cgroups import layout  # `state` and `kill` never detect

    return layout.detect()


def new(
    layout: Layout,
    cgroups_path: str | None,
    container_id: str,
    manager: str = "fs",
    annotations: dict[str, str] | None = None,
) -> Driver:
    """The driver for a container that is to be made. Touches nothing.

    Args:
        layout: the host's hierarchies.
        cgroups_path: linux.cgroupsPath, None when absent.
        container_id: names the cgroup when no path does.
        manager: who makes it: "fs" or "systemd", or "none" for no cgroup.
        annotations: of config.json; systemd's driver takes properties from them.

    Raises:
        SpecError: the path names no cgroup, or an annotation no property.
        PyruncError: systemd is asked for and not there.
    """
    # Only `create` places a cgroup.
    if manager == "none":
        from pyrunc.cgroups import none

        return none.NoDriver(layout, chosen=True)
    if manager == "systemd":
        from pyrunc.cgroups import systemd

        return systemd.new(layout, cgroups_path, container_id, annotations or {})
    from pyrunc.cgroups import place

    driver = fs_driver(layout, place.place(layout, cgroups_path, container_id))
    if is_ordinary_user():
        from pyrunc.cgroups import none

        if none.wanted(driver, cgroups_path):
            return none.NoDriver(layout)
    return driver


def is_ordinary_user() -> bool:
    """Whether this process has no rights on the host: not root, or root of a user namespace."""
    import os

    from pyrunc.host.user_namespace import in_user_namespace

    return os.geteuid() != 0 or in_user_namespace()


def from_dict(data: dict[str, Any]) -> Driver:
    """The driver of a container that exists, from what `Driver.to_dict` gave.

    Raises:
        KeyError, TypeError, ValueError: the document is not one of ours.
    """
    from pyrunc.cgroups.layout import Layout

    layout = Layout.from_dict(data["layout"])
    if data["manager"] == "none":
        from pyrunc.cgroups.none import NoDriver

        return NoDriver(layout, bool(data.get("chosen")))
    if data["manager"] == "systemd":
        from pyrunc.cgroups.systemd import SystemdDriver

        inner = [str(p) for p in data["inner"]]
        return SystemdDriver(
            layout, inner, str(data["unit"]), bool(data["user"]), bool(data["owned"])
        )
    return fs_driver(layout, [str(p) for p in data["inner"]], bool(data["owned"]))


def frozen(data: dict[str, Any]) -> bool:
    """Whether a container's cgroup is frozen, by what `Driver.to_dict` gave: as its driver's
    `frozen`, which `list` would make for each container.

    Raises:
        KeyError, TypeError, ValueError: the document is not one of ours.
        CgroupError: the kernel refuses to tell.
    """
    import os

    if data["layout"]["kind"] == "v2" and data["manager"] != "none":
        (_, mount, _), inner = data["layout"]["hierarchies"][0], data["inner"]
        try:
            # By path: nobody can make a symbolic link inside a cgroup filesystem.
            fd = os.open(f"{mount}{''.join(inner)}/cgroup.freeze", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.read(fd, 8) == b"1\n"
            finally:
                os.close(fd)
        except OSError:
            pass  # it is gone; or the driver says what is wrong
    return from_dict(data).frozen()


def fs_driver(
    layout: Layout, inner: list[str], owned: bool = False
) -> UnifiedDriver | LegacyDriver:
    """The driver that writes the files itself, for cgroups at known paths."""
    # One of the two is imported: each costs its file, and a host has only one kind.
    if layout.kind == "v2":
        from pyrunc.cgroups.fs_v2 import UnifiedDriver

        return UnifiedDriver(layout, inner, owned)
    from pyrunc.cgroups.fs_v1 import LegacyDriver

    return LegacyDriver(layout, inner, owned)
