# SPDX-License-Identifier: Apache-2.0
"""Cgroups whose files pyrunc writes by itself, on either version of cgroups."""

from __future__ import annotations

from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.cgroups.cgroup_v1 import LegacyCgroup
from pyrunc.cgroups.cgroup_v2 import UnifiedCgroup
from pyrunc.cgroups.fs_v1 import LegacyManager
from pyrunc.cgroups.fs_v2 import UnifiedManager
from pyrunc.cgroups.layout import Layout


def open_cgroup(layout: Layout, inner: list[str]) -> LegacyCgroup | UnifiedCgroup:
    """The cgroup at known paths, below the mount of each hierarchy. Touches nothing."""
    return UnifiedCgroup(layout, inner) if layout.kind == "v2" else LegacyCgroup(layout, inner)


def manager(cgroup: Cgroup, owned: bool = False) -> LegacyManager | UnifiedManager:
    """What makes and removes a cgroup that `open_cgroup` gave. Touches nothing."""
    if isinstance(cgroup, UnifiedCgroup):
        return UnifiedManager(cgroup, owned)
    return LegacyManager(cgroup, owned)
