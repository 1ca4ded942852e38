# SPDX-License-Identifier: Apache-2.0
"""resources.cpu.cpus and .mems to cpuset files. Pure; must not touch a cgroup."""

from __future__ import annotations

from pyrunc.cgroups.write import LIST, Limit
from pyrunc.spec.model_resources import CPU


def limits(cpu: CPU) -> list[Limit]:
    """The same files on v1 and v2. An empty list is "not set"."""
    found = []
    if cpu.cpus:
        found.append(Limit("cpuset.cpus", cpu.cpus, "/cpu/cpus", compare=LIST))
    if cpu.mems:
        found.append(Limit("cpuset.mems", cpu.mems, "/cpu/mems", compare=LIST))
    return found
