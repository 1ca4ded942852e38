# SPDX-License-Identifier: Apache-2.0
"""All limits of a resources object as files of cgroup v2, in writing order.

One place for the order, one module per controller for the values. Must not write.
"""

from __future__ import annotations

from collections.abc import Callable

from pyrunc.cgroups import cpu, cpuset, hugetlb, io, memory, pids, rdma, unified
from pyrunc.cgroups.write import Limit
from pyrunc.spec.model_resources import Resources


def limits(resources: Resources, read: Callable[[str], str], base: str) -> list[Limit]:
    """In runc's order.

    Args:
        resources: linux.resources, which `check.values` has seen.
        read: the text of a file of the cgroup, "" when there is none.
        base: JSON pointer of the resources object.

    Raises:
        SpecError: memory.checkBeforeUpdate forbids the change.
    """
    found: list[Limit] = []
    if resources.pids:
        found += pids.limits(resources.pids)
    if resources.memory:
        if resources.memory.checkBeforeUpdate:
            usage = read("memory.current")
            if usage.isdigit():
                memory.refuse_below_usage(resources.memory, int(usage), base)
        found += memory.limits_v2(resources.memory)
    if resources.blockIO:
        found += io.limits_v2(resources.blockIO, lambda name: bool(read(name)))
    if resources.cpu:
        found += cpu.limits_v2(resources.cpu)
        found += cpuset.limits(resources.cpu)
    if resources.hugepageLimits:
        found += hugetlb.limits(resources.hugepageLimits, v2=True)
    if resources.rdma:
        found += rdma.limits(resources.rdma)
    if resources.unified:
        # Last: it may override any of the others.
        found += unified.limits(resources.unified, base)
    return found
