# SPDX-License-Identifier: Apache-2.0
"""What a cgroup has used, as objects: `Driver.stats` fills them, `stats_v1` and `stats_v2` read.

Sizes are bytes and times nanoseconds unless an attribute says otherwise; NO_LIMIT stands for
"max". What a host does not count is 0, empty or None. This module must not read anything.
"""

# The tables are constants, and a ClassVar on each would hide them.
# ruff: noqa: RUF012

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

NO_LIMIT = (1 << 64) - 1


class Record:
    """Base of the classes below: members by keyword, the rest as in DEFAULTS."""

    __slots__ = ()
    DEFAULTS: ClassVar[dict[str, Any]] = {}

    def __init__(self, **members: Any) -> None:
        for name, default in self.DEFAULTS.items():
            value = members.pop(name, None)
            if value is None:
                value = default() if isinstance(default, type) else default
            setattr(self, name, value)
        if members:
            raise TypeError(f"{type(self).__name__} has no member {next(iter(members))!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.DEFAULTS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.DEFAULTS)
        return f"{type(self).__name__}({', '.join(shown)})"


class PressureLine(Record):
    """How long tasks waited: percent of the last 10, 60 and 300 s, and microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total: int

    DEFAULTS = {"avg10": 0.0, "avg60": 0.0, "avg300": 0.0, "total": 0}
    __slots__ = tuple(DEFAULTS)


class Pressure(Record):
    """Pressure stall information: some tasks waited, or all of them at once."""

    some: PressureLine
    full: PressureLine

    DEFAULTS = {"some": PressureLine, "full": PressureLine}
    __slots__ = tuple(DEFAULTS)


class Cpu(Record):
    """Processor time. The lists have an entry for each processor and are v1's.

    Attributes:
        periods: how many quota periods have passed while tasks wanted to run.
        throttled_periods: how many of them used the quota up.
        throttled: how long tasks waited for the next one.
        bursts: how many periods went over the quota within the burst.
        burst: how long they did.
    """

    total: int
    user: int
    kernel: int
    percpu: list[int]
    percpu_user: list[int]
    percpu_kernel: list[int]
    periods: int
    throttled_periods: int
    throttled: int
    bursts: int
    burst: int
    pressure: Pressure | None

    DEFAULTS = {
        **dict.fromkeys(("total", "user", "kernel"), 0),
        **dict.fromkeys(("percpu", "percpu_user", "percpu_kernel"), list),
        **dict.fromkeys(("periods", "throttled_periods", "throttled", "bursts", "burst"), 0),
        "pressure": None,
    }
    __slots__ = tuple(DEFAULTS)


class Cpuset(Record):
    """Where tasks may run (v1, where the switches are numbers)."""

    cpus: list[int]
    mems: list[int]
    switches: dict[str, int]

    DEFAULTS = {"cpus": list, "mems": list, "switches": dict}
    __slots__ = tuple(DEFAULTS)


class Usage(Record):
    """A kind of memory.

    Attributes:
        usage: now.
        max: the most that it ever was; 0 if nobody counts.
        limit: NO_LIMIT without one; v1 has a number close to 2^63 then.
        failcnt: how often the limit was hit (v1).
    """

    usage: int
    max: int
    limit: int
    failcnt: int

    DEFAULTS = {"usage": 0, "max": 0, "limit": 0, "failcnt": 0}
    __slots__ = tuple(DEFAULTS)


class Memory(Record):
    """Memory.

    Attributes:
        cache: of files.
        usage: all but swap.
        with_swap: memory and swap together, as v1 counts.
        kernel: of the kernel (v1).
        kernel_tcp: of its sockets (v1).
        raw: memory.stat.
        events: memory.events: how often low, high, max, oom, oom_kill; on v1 only oom_kill.
    """

    cache: int
    usage: Usage
    with_swap: Usage
    kernel: Usage
    kernel_tcp: Usage
    raw: dict[str, int]
    events: dict[str, int]
    pressure: Pressure | None

    DEFAULTS = {
        "cache": 0,
        **dict.fromkeys(("usage", "with_swap", "kernel", "kernel_tcp"), Usage),
        "raw": dict,
        "events": dict,
        "pressure": None,
    }
    __slots__ = tuple(DEFAULTS)


class Pids(Record):
    """How many tasks there are, and may be; a limit of 0 is none."""

    current: int
    limit: int

    DEFAULTS = {"current": 0, "limit": 0}
    __slots__ = tuple(DEFAULTS)


class IoEntry(Record):
    """One number of a block device; `op` is "Read", "Write", ... or ""."""

    major: int
    minor: int
    op: str
    value: int

    DEFAULTS = {"major": 0, "minor": 0, "op": "", "value": 0}
    __slots__ = tuple(DEFAULTS)


class Io(Record):
    """Block I/O, with all cgroups below. Only the first two exist on v2."""

    service_bytes: list[IoEntry]
    serviced: list[IoEntry]
    queued: list[IoEntry]
    service_time: list[IoEntry]
    wait_time: list[IoEntry]
    merged: list[IoEntry]
    time: list[IoEntry]
    sectors: list[IoEntry]
    pressure: Pressure | None

    DEFAULTS = {
        **dict.fromkeys(("service_bytes", "serviced", "queued", "service_time"), list),
        **dict.fromkeys(("wait_time", "merged", "time", "sectors"), list),
        "pressure": None,
    }
    __slots__ = tuple(DEFAULTS)


class Rdma(Record):
    """Use of one RDMA device, and its limits."""

    handles: int
    objects: int
    handles_limit: int
    objects_limit: int

    DEFAULTS = {"handles": 0, "objects": 0, "handles_limit": 0, "objects_limit": 0}
    __slots__ = tuple(DEFAULTS)


class Stats(Record):
    """All of a cgroup.

    Attributes:
        hugetlb: size of huge pages ("2MB") to their use.
        rdma: device to its use.
        misc: the misc controller's resources to (current, how often the limit was hit).
    """

    cpu: Cpu
    cpuset: Cpuset
    memory: Memory
    pids: Pids
    io: Io
    hugetlb: dict[str, Usage]
    rdma: dict[str, Rdma]
    misc: dict[str, tuple[int, int]]

    DEFAULTS = {
        "cpu": Cpu,
        "cpuset": Cpuset,
        "memory": Memory,
        "pids": Pids,
        "io": Io,
        "hugetlb": dict,
        "rdma": dict,
        "misc": dict,
    }
    __slots__ = tuple(DEFAULTS)


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
