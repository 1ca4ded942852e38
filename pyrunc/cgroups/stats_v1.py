# SPDX-License-Identifier: Apache-2.0
"""Reading what a cgroup has used, on cgroup v1: one function per controller.

A controller whose hierarchy is not mounted has no files, and its part stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyrunc.cgroups import stats
from pyrunc.cgroups.stats import NO_LIMIT, Usage, number, pairs
from pyrunc.cgroups.write import expand

# The text of a controller's file of the cgroup, "" when there is none.
Read = Callable[[str, str], str]

# cpuacct.stat counts in USER_HZ, which is 100 on every architecture that matters here.
TICK = 10_000_000
SWITCHES = (
    *("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page"),
    *("memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"),
)
# What counts depends on the scheduler of the device and on the kernel: the first that has any.
BLKIO = (
    {
        "serviced": "bfq.io_serviced_recursive",
        "service_bytes": "bfq.io_service_bytes_recursive",
        "sectors": "bfq.sectors_recursive",
        "service_time": "bfq.io_service_time_recursive",
        "queued": "bfq.io_queued_recursive",
        "wait_time": "bfq.io_wait_time_recursive",
        "merged": "bfq.io_merged_recursive",
        "time": "bfq.time_recursive",
    },
    {
        "serviced": "throttle.io_serviced_recursive",
        "service_bytes": "throttle.io_service_bytes_recursive",
    },
    {"serviced": "throttle.io_serviced", "service_bytes": "throttle.io_service_bytes"},
)


def collect(read: Read, count: Callable[[], int], sizes: Iterable[str]) -> stats.Stats:
    """All parts.

    Args:
        read: reads a file of a controller.
        count: how many processes there are, for a host without the pids controller.
        sizes: of huge pages.
    """
    return stats.Stats(
        cpu=cpu(read),
        cpuset=cpuset(read),
        memory=memory(read),
        pids=pids(read, count),
        io=io(read),
        hugetlb=hugetlb(read, sizes),
        rdma=stats.rdma(read("rdma", "rdma.current"), read("rdma", "rdma.max")),
    )


def cpu(read: Read) -> stats.Cpu:
    """cpuacct.* and the quota's part of cpu.stat."""
    ticks = pairs(read("cpuacct", "cpuacct.stat"))
    quota = pairs(read("cpu", "cpu.stat"))
    # A heading, then a line for each processor: "0 USER SYSTEM", maybe with one more column.
    table = [line.split() for line in read("cpuacct", "cpuacct.usage_all").splitlines()[1:]]
    rows = [row for row in table if len(row) == 3]
    return stats.Cpu(
        total=number(read("cpuacct", "cpuacct.usage")),
        user=ticks.get("user", 0) * TICK,
        kernel=ticks.get("system", 0) * TICK,
        percpu=[number(word) for word in read("cpuacct", "cpuacct.usage_percpu").split()],
        percpu_user=[number(row[1]) for row in rows],
        percpu_kernel=[number(row[2]) for row in rows],
        periods=quota.get("nr_periods", 0),
        throttled_periods=quota.get("nr_throttled", 0),
        throttled=quota.get("throttled_time", 0),
        bursts=quota.get("nr_bursts", 0),
        burst=quota.get("burst_time", 0),
    )


def cpuset(read: Read) -> stats.Cpuset:
    """cpuset.*"""
    lists = {
        name: sorted(expand(read("cpuset", f"cpuset.{name}")) or ()) for name in ("cpus", "mems")
    }
    switches = {}
    for name in SWITCHES:
        text = read("cpuset", f"cpuset.{name}")
        if text:
            # One of them, the level of domains, is -1 by default.
            switches[name] = int(text)
    return stats.Cpuset(**lists, switches=switches)


def memory(read: Read) -> stats.Memory:
    """memory.*"""
    raw = pairs(read("memory", "memory.stat"))
    control = pairs(read("memory", "memory.oom_control"))
    return stats.Memory(
        cache=raw.get("cache", 0),
        usage=_usage(read, "memory", "memory"),
        with_swap=_usage(read, "memory", "memory.memsw"),
        kernel=_usage(read, "memory", "memory.kmem"),
        kernel_tcp=_usage(read, "memory", "memory.kmem.tcp"),
        raw=raw,
        events={"oom_kill": control["oom_kill"]} if "oom_kill" in control else {},
    )


def _usage(read: Read, controller: str, name: str) -> Usage:
    return Usage(
        usage=number(read(controller, f"{name}.usage_in_bytes")),
        max=number(read(controller, f"{name}.max_usage_in_bytes")),
        limit=number(read(controller, f"{name}.limit_in_bytes")),
        failcnt=number(read(controller, f"{name}.failcnt")),
    )


def pids(read: Read, count: Callable[[], int]) -> stats.Pids:
    """pids.current, and pids.max as 0 where there is no limit."""
    text = read("pids", "pids.current")
    if not text:
        return stats.Pids(current=count())
    limit = number(read("pids", "pids.max"))
    return stats.Pids(current=number(text), limit=0 if limit == NO_LIMIT else limit)


def io(read: Read) -> stats.Io:
    """blkio.*, of whoever counts."""
    for files in BLKIO:
        found = {name: _entries(read("blkio", f"blkio.{file}")) for name, file in files.items()}
        if found["serviced"]:
            return stats.Io(**found, pressure=None)
    return stats.Io()


def _entries(text: str) -> list[stats.IoEntry]:
    """Lines "8:0 Read 5", or "8:0 5"; not the sums at the end."""
    found = []
    for line in text.splitlines():
        device, *words = line.split()
        major, colon, minor = device.partition(":")
        if colon and words and words[0] != "Total":
            op = words[0] if len(words) == 2 else ""
            entry = stats.IoEntry(
                major=int(major), minor=int(minor), op=op, value=number(words[-1])
            )
            found.append(entry)
    return found


def hugetlb(read: Read, sizes: Iterable[str]) -> dict[str, Usage]:
    """hugetlb.SIZE.*: reserved pages where the kernel counts them, else those in use."""
    found = {}
    for size in sizes:
        for name in (f"hugetlb.{size}.rsvd", f"hugetlb.{size}"):
            if read("hugetlb", f"{name}.usage_in_bytes"):
                found[size] = _usage(read, "hugetlb", name)
                break
    return found
