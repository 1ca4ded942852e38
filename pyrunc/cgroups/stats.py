# SPDX-License-Identifier: Apache-2.0
"""What a cgroup has used, as objects: `Cgroup.stats` fills them, `stats_v1` and `stats_v2` read.

Sizes are bytes and times nanoseconds unless an attribute says otherwise; NO_LIMIT stands for
"max". What a host does not count is 0, empty or None. This module must not read anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NO_LIMIT = (1 << 64) - 1


@dataclass(slots=True, kw_only=True)
class PressureLine:
    """How long tasks waited: percent of the last 10, 60 and 300 s, and microseconds in all."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class Pressure:
    """Pressure stall information: some tasks waited, or all of them at once."""

    some: PressureLine = field(default_factory=PressureLine)
    full: PressureLine = field(default_factory=PressureLine)


@dataclass(slots=True, kw_only=True)
class Cpu:
    """Processor time. The lists have an entry for each processor and are v1's.

    Attributes:
        periods: how many quota periods have passed while tasks wanted to run.
        throttled_periods: how many of them used the quota up.
        throttled: how long tasks waited for the next one.
        bursts: how many periods went over the quota within the burst.
        burst: how long they did.
    """

    total: int = 0
    user: int = 0
    kernel: int = 0
    percpu: list[int] = field(default_factory=list)
    percpu_user: list[int] = field(default_factory=list)
    percpu_kernel: list[int] = field(default_factory=list)
    periods: int = 0
    throttled_periods: int = 0
    throttled: int = 0
    bursts: int = 0
    burst: int = 0
    pressure: Pressure | None = None


@dataclass(slots=True, kw_only=True)
class Cpuset:
    """Where tasks may run (v1, where the switches are numbers)."""

    cpus: list[int] = field(default_factory=list)
    mems: list[int] = field(default_factory=list)
    switches: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Usage:
    """A kind of memory.

    Attributes:
        usage: now.
        max: the most that it ever was; 0 if nobody counts.
        limit: NO_LIMIT without one; v1 has a number close to 2^63 then.
        failcnt: how often the limit was hit (v1).
    """

    usage: int = 0
    max: int = 0
    limit: int = 0
    failcnt: int = 0


@dataclass(slots=True, kw_only=True)
class Memory:
    """All kinds of memory.

    Attributes:
        cache: of files.
        usage: all but swap.
        with_swap: memory and swap together, as v1 counts.
        kernel: of the kernel (v1).
        kernel_tcp: of its sockets (v1).
        raw: memory.stat.
        events: memory.events: how often low, high, max, oom, oom_kill; on v1 only oom_kill.
    """

    cache: int = 0
    usage: Usage = field(default_factory=Usage)
    with_swap: Usage = field(default_factory=Usage)
    kernel: Usage = field(default_factory=Usage)
    kernel_tcp: Usage = field(default_factory=Usage)
    raw: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    pressure: Pressure | None = None


@dataclass(slots=True, kw_only=True)
class Pids:
    """How many tasks there are, and may be; a limit of 0 is none."""

    current: int = 0
    limit: int = 0


@dataclass(slots=True, kw_only=True)
class IoEntry:
    """One number of a block device; `op` is "Read", "Write", ... or ""."""

    major: int = 0
    minor: int = 0
    op: str = ""
    value: int = 0


@dataclass(slots=True, kw_only=True)
class Io:
    """Block I/O, with all cgroups below. Only the first two exist on v2."""

    service_bytes: list[IoEntry] = field(default_factory=list)
    serviced: list[IoEntry] = field(default_factory=list)
    queued: list[IoEntry] = field(default_factory=list)
    service_time: list[IoEntry] = field(default_factory=list)
    wait_time: list[IoEntry] = field(default_factory=list)
    merged: list[IoEntry] = field(default_factory=list)
    time: list[IoEntry] = field(default_factory=list)
    sectors: list[IoEntry] = field(default_factory=list)
    pressure: Pressure | None = None


@dataclass(slots=True, kw_only=True)
class Rdma:
    """Use of one RDMA device, and its limits."""

    handles: int = 0
    objects: int = 0
    handles_limit: int = 0
    objects_limit: int = 0


@dataclass(slots=True, kw_only=True)
class Stats:
    """All of a cgroup.

    Attributes:
        hugetlb: size of huge pages ("2MB") to their use.
        rdma: device to its use.
        misc: the misc controller's resources to (current, how often the limit was hit).
    """

    cpu: Cpu = field(default_factory=Cpu)
    cpuset: Cpuset = field(default_factory=Cpuset)
    memory: Memory = field(default_factory=Memory)
    pids: Pids = field(default_factory=Pids)
    io: Io = field(default_factory=Io)
    hugetlb: dict[str, Usage] = field(default_factory=dict)
    rdma: dict[str, Rdma] = field(default_factory=dict)
    misc: dict[str, tuple[int, int]] = field(default_factory=dict)


# What the readers of both versions need.


def number(text: str) -> int:
    """A number of a cgroup file: "max" is NO_LIMIT; nothing, and less than nothing, is 0."""
    text = text.strip()
    if text == "max":
        return NO_LIMIT
    digits = text.removeprefix("-")
    return max(int(text), 0) if digits.isdigit() and digits.isascii() else 0


def pairs(text: str) -> dict[str, int]:
    """A file of lines "key number"."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: number(row[1]) for row in rows if len(row) == 2}


def keyed(text: str) -> dict[str, dict[str, int]]:
    """A file of lines "device key=number key=number"."""
    found = {}
    for line in text.splitlines():
        device, *words = line.split() or [""]
        values = (word.partition("=") for word in words)
        if device:
            found[device] = {key: number(value) for key, _, value in values}
    return found


def rdma(current: str, limits: str) -> dict[str, Rdma]:
    """rdma.current and rdma.max, the same on v1 and v2."""
    found = {}
    most = keyed(limits)
    for device, use in keyed(current).items():
        limit = most.get(device, {})
        found[device] = Rdma(
            handles=use.get("hca_handle", 0),
            objects=use.get("hca_object", 0),
            handles_limit=limit.get("hca_handle", 0),
            objects_limit=limit.get("hca_object", 0),
        )
    return found
