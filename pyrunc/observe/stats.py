# SPDX-License-Identifier: Apache-2.0
"""What `events` prints: statistics as JSON values with runc's keys, in runc's order.

Pure: a Stats in, a dict out. Which numbers are left out when they are zero is runc's choice as
well; readers rely on either.
"""

from __future__ import annotations

from typing import Any

from pyrunc.cgroups.stats import Cpu, Cpuset, Io, IoEntry, Memory, Pressure, Stats, Usage

SWITCHES = (
    *("mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page"),
    *("memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"),
)
IO = (
    ("ioServiceBytesRecursive", "service_bytes"),
    ("ioServicedRecursive", "serviced"),
    ("ioQueueRecursive", "queued"),
    ("ioServiceTimeRecursive", "service_time"),
    ("ioWaitTimeRecursive", "wait_time"),
    ("ioMergedRecursive", "merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)


def event(container_id: str, stats: Stats) -> dict[str, Any]:
    """The line of `events` for statistics."""
    return {"type": "stats", "id": container_id, "data": data(stats)}


def oom_event(container_id: str) -> dict[str, Any]:
    """The line of `events` for a container that ran out of memory."""
    return {"type": "oom", "id": container_id}


def data(stats: Stats) -> dict[str, Any]:
    """The statistics themselves."""
    return {
        "cpu": _cpu(stats.cpu),
        "cpuset": _cpuset(stats.cpuset),
        "memory": _memory(stats.memory),
        "pids": _some(current=stats.pids.current, limit=stats.pids.limit),
        "blkio": _io(stats.io),
        "hugetlb": {
            size: {**_some(usage=use.usage, max=use.max), "failcnt": use.failcnt}
            for size, use in sorted(stats.hugetlb.items())
        },
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _some(**members: Any) -> dict[str, Any]:
    """Without what is zero or empty."""
    return {name: value for name, value in members.items() if value}


def _cpu(cpu: Cpu) -> dict[str, Any]:
    usage = _some(
        total=cpu.total,
        percpu=cpu.percpu,
        percpu_kernel=cpu.percpu_kernel,
        percpu_user=cpu.percpu_user,
    )
    throttling = _some(
        periods=cpu.periods, throttledPeriods=cpu.throttled_periods, throttledTime=cpu.throttled
    )
    return {
        "usage": {**usage, "kernel": cpu.kernel, "user": cpu.user},
        "throttling": throttling,
        **_psi(cpu.pressure),
    }


def _cpuset(cpuset: Cpuset) -> dict[str, Any]:
    switches = cpuset.switches
    return {
        **_some(cpus=cpuset.cpus),
        "cpu_exclusive": switches.get("cpu_exclusive", 0),
        **_some(mems=cpuset.mems),
        **{name: switches.get(name, 0) for name in SWITCHES},
    }


def _memory(memory: Memory) -> dict[str, Any]:
    return {
        **_some(cache=memory.cache),
        "usage": _usage(memory.usage),
        "swap": _usage(memory.with_swap),
        "kernel": _usage(memory.kernel),
        "kernelTCP": _usage(memory.kernel_tcp),
        **_some(raw=dict(sorted(memory.raw.items()))),
        **_psi(memory.pressure),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "limit": usage.limit,
        **_some(usage=usage.usage, max=usage.max),
        "failcnt": usage.failcnt,
    }


def _io(io: Io) -> dict[str, Any]:
    lists = {key: [_entry(entry) for entry in getattr(io, name)] for key, name in IO}
    return {**_some(**lists), **_psi(io.pressure)}


def _entry(entry: IoEntry) -> dict[str, Any]:
    return _some(major=entry.major, minor=entry.minor, op=entry.op, value=entry.value)


def _psi(pressure: Pressure | None) -> dict[str, Any]:
    if pressure is None:
        return {}
    lines = {"some": pressure.some, "full": pressure.full}
    return {
        "psi": {
            name: {
                "avg10": _short(line.avg10),
                "avg60": _short(line.avg60),
                "avg300": _short(line.avg300),
                "total": line.total,
            }
            for name, line in lines.items()
        }
    }


def _short(value: float) -> float:
    """Go prints 0 where Python prints 0.0."""
    return int(value) if value.is_integer() else value
