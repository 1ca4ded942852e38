# SPDX-License-Identifier: Apache-2.0
"""All limits of a resources object as files of cgroup v1, in writing order.

One place for the order, one module per controller for the values. Must not write.
"""

from __future__ import annotations

from collections.abc import Callable

from pyrunc.cgroups import cpu, cpuset, hugetlb, io, memory, network, pids, rdma
from pyrunc.cgroups.write import Limit
from pyrunc.spec.model_resources import Memory, Resources

# The text of a controller's file in the container's cgroup, "" when there is none.
Read = Callable[[str, str], str]


def limits(resources: Resources, read: Read, is_new: bool) -> list[tuple[str, list[Limit]]]:
    """Pairs of controller and limits.

    Args:
        resources: linux.resources, which `check.values` has seen.
        read: reads a file of a controller.
        is_new: the memory cgroup was made just now, and has no limit yet.
    """
    found: list[tuple[str, list[Limit]]] = []
    if resources.pids:
        found.append(("pids", pids.limits(resources.pids)))
    if resources.memory:
        found.append(("memory", _memory(resources.memory, read, is_new)))
    if resources.cpu:
        found.append(("cpu", cpu.limits_v1(resources.cpu)))
        found.append(("cpuset", cpuset.limits(resources.cpu)))
    if resources.blockIO:
        has = lambda name: bool(read("blkio", name))  # noqa: E731
        found.append(("blkio", io.limits_v1(resources.blockIO, has)))
    if resources.hugepageLimits:
        found.append(("hugetlb", hugetlb.limits(resources.hugepageLimits, v2=False)))
    if resources.network:
        found.append(("net_cls", network.classes(resources.network)))
        found.append(("net_prio", network.priorities(resources.network)))
    if resources.rdma:
        found.append(("rdma", rdma.limits(resources.rdma)))
    return [pair for pair in found if pair[1]]


def _memory(asked: Memory, read: Read, is_new: bool) -> list[Limit]:
    current, has_swap = None, False
    # Each file is a system call or three: what the limit is, or whether there is swap
    # accounting, matters in these cases only.
    if asked.limit and asked.swap and not is_new:
        text = read("memory", "memory.limit_in_bytes")
        current = int(text) if text.isdigit() else None
    if asked.limit == -1 and not asked.swap:
        has_swap = bool(read("memory", "memory.memsw.limit_in_bytes"))
    return memory.limits_v1(asked, current, has_swap)
