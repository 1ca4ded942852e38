# SPDX-License-Identifier: Apache-2.0
"""Asks this host for the facts that a plan is made with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyrunc.host.facts import HostFacts
from pyrunc.host.user_namespace import in_user_namespace, may_set_groups

if TYPE_CHECKING:  # this package knows none above it at run time
    from pyrunc.cgroups.layout import Layout


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
    """The facts of this host, whose cgroup hierarchies are known already."""
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
        setgroups=may_set_groups(),
    )
