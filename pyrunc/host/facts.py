# SPDX-License-Identifier: Apache-2.0
"""What a plan has to know about the host, as plain data: `probe` asks, a test makes any other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class HostFacts:
    """Facts about a host.

    Args:
        privileged: the runtime is root here, and can mount before it enters a user namespace.
        cgroup_kind: "v2", "hybrid" or "v1".
        cgroup_hierarchies: (directory name, controllers) of each v1 hierarchy.
        cgroup_unified: where cgroup v2 is mounted, or "".
        has_kcore: whether /proc/kcore exists.
        nested: the runtime is in a user namespace itself, and can make no device node.
        selinux: SELinux is in force, and filesystems take its labels.
        setgroups: a process may choose its groups (user_namespaces(7), /proc/PID/setgroups).
    """

    privileged: bool
    cgroup_kind: str
    cgroup_hierarchies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    cgroup_unified: str = "/sys/fs/cgroup"
    has_kcore: bool = True
    nested: bool = False
    selinux: bool = True
    setgroups: bool = True
