# SPDX-License-Identifier: Apache-2.0
"""What a plan has to know about the host. Probed by `probe`; a test can make any other."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.layout import Layout


class HostFacts:
    """Facts about a host, as plain data.

    Args:
        privileged: the runtime is root here, and can mount before it enters a user namespace.
        nested: the runtime is in a user namespace itself, and can make no device node.
        selinux: SELinux is in force, and filesystems take its labels.
        setgroups: a process may choose its groups (user_namespaces(7), /proc/PID/setgroups).
        cgroup_kind: "v2", "hybrid" or "v1".
        cgroup_hierarchies: (directory name, controllers) of each v1 hierarchy.
        cgroup_unified: where cgroup v2 is mounted, or "".
        has_kcore: whether /proc/kcore exists.
    """

    __slots__ = (
        "cgroup_hierarchies", "cgroup_kind", "cgroup_unified", "has_kcore", "nested",
        "privileged", "selinux", "setgroups",
    )  # fmt: skip

    def __init__(
        self,
        *,
        privileged: bool,
        cgroup_kind: str,
        cgroup_hierarchies: tuple[tuple[str, tuple[str, ...]], ...] = (),
        cgroup_unified: str = "/sys/fs/cgroup",
        has_kcore: bool = True,
        nested: bool = False,
        selinux: bool = True,
        setgroups: bool = True,
    ) -> None:
        self.privileged = privileged
        self.cgroup_kind = cgroup_kind
        self.cgroup_hierarchies = cgroup_hierarchies
        self.cgroup_unified = cgroup_unified
        self.has_kcore = has_kcore
        self.nested = nested
        self.selinux = selinux
        self.setgroups = setgroups


def has_lsm(name: str) -> bool:
    """Whether a security module is in force: "apparmor" or "selinux"."""
    if name == "selinux":
        return os.path.exists("/sys/fs/selinux/enforce")
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def probe(layout: Layout) -> HostFacts:
    """Ask this host."""
    hierarchies = tuple(
        (os.path.basename(h.mount), h.names) for h in layout.hierarchies if h.names != ("",)
    )
    return HostFacts(
        privileged=os.geteuid() == 0,
        cgroup_kind=layout.kind,
        cgroup_hierarchies=hierarchies,
        cgroup_unified=layout.unified.mount if layout.unified else "",
        has_kcore=os.path.exists("/proc/kcore"),
        nested=in_user_namespace(),
        selinux=has_lsm("selinux"),
        setgroups=_own("setgroups") != "deny\n",
    )


def in_user_namespace() -> bool:
    """Whether this process is in another user namespace than the host's first one."""
    return _own("uid_map").split() not in ([], ["0", "0", "4294967295"])


def _own(name: str) -> str:
    """A file of this process in /proc; "" where the kernel knows no user namespaces."""
    try:
        fd = os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        return os.read(fd, 4096).decode()
    finally:
        os.close(fd)
