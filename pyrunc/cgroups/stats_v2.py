# SPDX-License-Identifier: Apache-2.0
"""Reading what a cgroup has used, on cgroup v2: one function per controller.

A controller that is not enabled has no files, and its part stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyrunc.cgroups import psi, stats
from pyrunc.cgroups.stats import NO_LIMIT, number, pairs

# The text of a file of the cgroup, "" when there is none.
Read = Callable[[str], str]

_MICRO = 1000  # nanoseconds
_ENDLESS = 1 << 62
# Keys of io.stat as v1 names them.
_OPS = {
    "rbytes": ("service_bytes", "Read"),
    "wbytes": ("service_bytes", "Write"),
    "rios": ("serviced", "Read"),
    "wios": ("serviced", "Write"),
}


def collect(read: Read, count: Callable[[], int], sizes: Iterable[str]) -> stats.Stats:
    """All parts.

    Args:
        read: reads a file.
        count: how many processes there are, for a host without the pids controller.
        sizes: of huge pages.
    """
    return stats.Stats(
        cpu=cpu(read),
        memory=memory(read),
        pids=pids(read, count),
        io=io(read),
        hugetlb=hugetlb(read, sizes),
        rdma=stats.rdma(read("rdma.current"), read("rdma.max")),
        misc=misc(read),
    )


def cpu(read: Read) -> stats.Cpu:
    """cpu.stat, which every cgroup has; the quota's part only with the controller."""
    found = pairs(read("cpu.stat"))
    return stats.Cpu(
        total=found.get("usage_usec", 0) * _MICRO,
        user=found.get("user_usec", 0) * _MICRO,
        kernel=found.get("system_usec", 0) * _MICRO,
        periods=found.get("nr_periods", 0),
        throttled_periods=found.get("nr_throttled", 0),
        throttled=found.get("throttled_usec", 0) * _MICRO,
        bursts=found.get("nr_bursts", 0),
        burst=found.get("burst_usec", 0) * _MICRO,
        pressure=psi.pressure(read, "cpu"),
    )


def memory(read: Read) -> stats.Memory:
    """memory.*, with swap added to memory where v1 has the sum."""
    raw = pairs(read("memory.stat"))
    usage = stats.Usage(
        usage=number(read("memory.current")),
        max=number(read("memory.peak")),
        limit=number(read("memory.max")),
    )
    return stats.Memory(
        cache=raw.get("file", 0),
        usage=usage,
        with_swap=_with_swap(read, usage),
        raw=raw,
        events=pairs(read("memory.events")),
        pressure=psi.pressure(read, "memory"),
    )


def _with_swap(read: Read, usage: stats.Usage) -> stats.Usage:
    text = read("memory.swap.max")
    if not text:
        # No swap accounting: v1 has no such files then.
        return stats.Usage()
    most = number(text)
    endless = NO_LIMIT in (most, usage.limit)
    return stats.Usage(
        usage=number(read("memory.swap.current")) + usage.usage,
        limit=NO_LIMIT if endless else most + usage.limit,
    )


def pids(read: Read, count: Callable[[], int]) -> stats.Pids:
    """pids.current, and pids.max as 0 where there is no limit."""
    text = read("pids.current")
    if not text:
        return stats.Pids(current=count())
    limit = number(read("pids.max"))
    return stats.Pids(current=number(text), limit=0 if limit == NO_LIMIT else limit)


def io(read: Read) -> stats.Io:
    """io.stat. What v1 has no list for (discards, iocost) is left out, as with runc."""
    lists: dict[str, list[stats.IoEntry]] = {"service_bytes": [], "serviced": []}
    for device, values in stats.keyed(read("io.stat")).items():
        major, _, minor = device.partition(":")
        for key, (name, op) in _OPS.items():
            if key in values:
                entry = stats.IoEntry(major=int(major), minor=int(minor), op=op, value=values[key])
                lists[name].append(entry)
    return stats.Io(**lists, pressure=psi.pressure(read, "io"))


def hugetlb(read: Read, sizes: Iterable[str]) -> dict[str, stats.Usage]:
    """hugetlb.SIZE.*: reserved pages where the kernel counts them, else those in use."""
    found = {}
    for size in sizes:
        text = read(f"hugetlb.{size}.rsvd.current") or read(f"hugetlb.{size}.current")
        if text:
            limit = number(read(f"hugetlb.{size}.max"))
            found[size] = stats.Usage(
                usage=number(text),
                # As long as nothing was set it reads as a number of pages, not as "max".
                limit=limit if limit < _ENDLESS else NO_LIMIT,
                failcnt=pairs(read(f"hugetlb.{size}.events")).get("max", 0),
            )
    return found


def misc(read: Read) -> dict[str, tuple[int, int]]:
    """misc.current, and from misc.events how often the limit was hit."""
    events = pairs(read("misc.events"))
    current = pairs(read("misc.current"))
    return {name: (value, events.get(f"{name}.max", 0)) for name, value in current.items()}
