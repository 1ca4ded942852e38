# SPDX-License-Identifier: Apache-2.0
"""What a driver refuses before anything is made. Pure; must not touch a cgroup."""

from __future__ import annotations

from pyrunc.errors import PyruncError, SpecError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from pyrunc.spec.model_resources import Resources

_BASE = "/linux/resources"
LATER = ("blockIO", "hugepageLimits", "network", "rdma")


def refuse_later(resources: Resources) -> None:
    """Refuse the controllers that this version does not do.

    Raises:
        UnsupportedError: with the pointer of the property.
    """
    for name in LATER:
        if _asks(getattr(resources, name)):
            raise UnsupportedError(
                f"{name} is not supported by this version of pyrunc yet",
                pointer=f"{_BASE}/{name}",
            )


def _asks(value: object) -> bool:
    """Whether a member asks for anything: engines send empty objects, and weights of 0."""
    slots = getattr(value, "__slots__", None)
    if slots is None:
        return bool(value)
    return any(getattr(value, slot) for slot in slots)


def values(resources: Resources, v2: bool) -> list[str]:
    """Refuse values that cannot be expressed; name those that are ignored.

    Args:
        resources: linux.resources.
        v2: for cgroup v2, else for v1.

    Returns:
        Warnings, one line each.

    Raises:
        SpecError: a value is wrong.
    """
    warnings: list[str] = []
    if resources.memory:
        from pyrunc.cgroups import memory  # paid for by who asks for it

        memory.check(resources.memory)
        if v2:
            memory.limits_v2(resources.memory)
        warnings += memory.ignored(resources.memory, v2)
    if resources.cpu:
        from pyrunc.cgroups import cpu

        cpu.check(resources.cpu)
        names = ("realtimeRuntime", "realtimePeriod") if v2 else ()
        warnings += [
            f"cpu.{name} is ignored: cgroup v2 has no such limit"
            for name in names
            if getattr(resources.cpu, name)
        ]
    if resources.unified:
        from pyrunc.cgroups import unified

        if not v2:
            raise SpecError("needs cgroup v2, and this host has v1", pointer=f"{_BASE}/unified")
        unified.limits(resources.unified)
    return warnings


def wanted(resources: Resources) -> dict[str, str]:
    """The controllers that limits are asked of, each with the pointer of what asks.

    The v1 and v2 names are the same for all of these.
    """
    found = {}
    memory, cpu, pids = resources.memory, resources.cpu, resources.pids
    if memory and any((memory.limit, memory.reservation, memory.swap)):
        found["memory"] = f"{_BASE}/memory"
    if cpu and any((cpu.shares, cpu.quota, cpu.period, cpu.burst, cpu.idle is not None)):
        found["cpu"] = f"{_BASE}/cpu"
    if cpu and (cpu.cpus or cpu.mems):
        found["cpuset"] = f"{_BASE}/cpu/cpus" if cpu.cpus else f"{_BASE}/cpu/mems"
    if pids and pids.limit is not None:
        found["pids"] = f"{_BASE}/pids"
    return found


def available(needed: dict[str, str], present: Container[str], hint: str) -> None:
    """Refuse limits that the host has no controller for.

    Raises:
        PyruncError: with the pointer of the first such limit.
    """
    for name, pointer in needed.items():
        if name not in present:
            raise PyruncError(
                f"the {name} cgroup controller is not available on this host",
                pointer=pointer,
                hint=hint,
            )
