# SPDX-License-Identifier: Apache-2.0
"""Which limits are refused before anything is made. Must not touch a cgroup.

The device rules are checked in `devices`.
"""

from __future__ import annotations

from collections.abc import Container

from pyrunc.cgroups import cpu, hugetlb, io, memory, network, unified
from pyrunc.errors import PyruncError, UnsupportedError
from pyrunc.spec.model_resources import Resources


def asks_limits(resources: Resources) -> bool:
    """Whether anything but device rules is asked for."""
    r = resources
    one = r.memory or r.cpu or r.pids or r.blockIO or r.network
    return bool(one or r.hugepageLimits or r.rdma or r.unified)


def values(resources: Resources, v2: bool, base: str) -> list[str]:
    """Refuse values that cannot be expressed on a version of cgroups.

    Args:
        resources: linux.resources.
        v2: for cgroup v2, else for v1.
        base: its JSON pointer.

    Returns:
        Warnings, one line each.

    Raises:
        SpecError: a value is wrong, or this version has no file for it.
    """
    warnings: list[str] = []
    if resources.memory:
        warnings += memory.check(resources.memory, base, v2)
    if resources.cpu:
        cpu.check(resources.cpu, base, v2)
    if resources.pids and resources.pids.limit == 0:
        # config-linux.md 1.3.0 and runc 1.4 say so; podman's API means "unlimited" by it.
        warnings.append(f"{base}/pids/limit: 0 lets nothing fork, -1 is unlimited")
    if resources.blockIO:
        io.check(resources.blockIO, base, v2)
    if resources.hugepageLimits:
        hugetlb.check(resources.hugepageLimits, hugetlb.sizes(), base)
    if resources.network and v2:
        network.check_v2(resources.network, base)
    if resources.unified:
        if not v2:
            raise UnsupportedError("not supported on cgroup v1", pointer=f"{base}/unified")
        unified.limits(resources.unified, base)
    return warnings


def wanted(resources: Resources, v2: bool, base: str) -> dict[str, str]:
    """The controllers that limits need, each with the pointer of the member that needs it."""
    found = {}
    memory, cpu, pids = resources.memory, resources.cpu, resources.pids
    names = ("limit", "reservation", "swap", "disableOOMKiller")
    swappiness = memory and not v2 and memory.swappiness is not None
    if memory and (swappiness or any(getattr(memory, name) for name in names)):
        found["memory"] = f"{base}/memory"
    numbers = ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod")
    given = cpu and (cpu.idle is not None or cpu.burst is not None)  # their 0 is a value
    if cpu and (given or any(getattr(cpu, name) for name in numbers)):
        found["cpu"] = f"{base}/cpu"
    if cpu and (cpu.cpus or cpu.mems):
        found["cpuset"] = f"{base}/cpu/cpus" if cpu.cpus else f"{base}/cpu/mems"
    if pids and pids.limit is not None:
        found["pids"] = f"{base}/pids"
    if resources.blockIO and io.asks(resources.blockIO):
        found["io" if v2 else "blkio"] = f"{base}/blockIO"
    if resources.hugepageLimits:
        found["hugetlb"] = f"{base}/hugepageLimits"
    if resources.network and resources.network.classID:
        found["net_cls"] = f"{base}/network/classID"
    if resources.network and resources.network.priorities:
        found["net_prio"] = f"{base}/network/priorities"
    if resources.rdma:
        found["rdma"] = f"{base}/rdma"
    if resources.unified:
        found |= unified.controllers(resources.unified, base)
    return found


def available(needed: dict[str, str], present: Container[str], where: str, hint: str) -> None:
    """Refuse limits that the host has no controller for.

    Args:
        needed: from `wanted`.
        present: the controllers that are there.
        where: the cgroup, or the mount, that lacks them, for the message.
        hint: why it may lack them.

    Raises:
        PyruncError: with the pointer of the first such limit.
    """
    for name, pointer in needed.items():
        if name not in present:
            raise PyruncError(
                f"the {name} controller is not available in {where}", pointer=pointer, hint=hint
            )
