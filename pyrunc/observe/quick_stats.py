# SPDX-License-Identifier: Apache-2.0
"""`events --stats` as a list of what stands where, for the launcher (csrc/launcher/stats.c).

The same members in the same order as `stats.event` prints them, each with the file and the key
that it is read from. One list serves all containers of a state root: files are named by the
number of the hierarchy, whose directories each container's `quick` file has. A test compares
what comes out with what Python prints.

    H LAYOUT                what the numbers of hierarchies are about
    L TEXT                  the text as it is
    D                       the container's id
    O NAME, S NAME          open an object; S: leave it out when it stays empty
    C                       close it
    N NAME FLAGS SCALE FILE KEY [FILE]
                            a number, "-" for KEY is the only word of the file; of two files the
                            sum. Flags: k keep a zero, s leave it out; i with its sign; m "max" is
                            the largest number, z it is 0; h half of the largest is "max" too;
                            g nothing is read unless the last file is there
    A NAME FILE COLUMN      the words of a file, or of a column of its table
    R NAME FILE             a list of ranges
    M NAME FILE             the pairs of a file, by name
    P FILE                  pressure
    I NAME FILE KEY=OP...   per device
    G N FILE, B N NAME FILE lists of block devices: of the first family N whose file has any
    K NAME FILE             how many processes there are; the file must not be there
    X FILE                  it must be there: else it is Python's
"""

from __future__ import annotations

from pyrunc.observe.stats import IO, SWITCHES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # The number of a controller's hierarchy and a file of it, "-" where there is none.
    Where = Callable[[str, str], str]

FORMAT = "pyrunc-stats-1"
_MICRO = 1000


def program(
    layout: str, unified: bool, where: Where, sizes: Iterable[str], reserved: bool, pids: bool
) -> str:
    """The list for a host.

    Args:
        layout: a word for the host's hierarchies; containers of another layout are Python's.
        unified: cgroup v2; `where` is then asked with "" as the controller.
        where: names a file.
        sizes: of huge pages.
        reserved: whether the kernel counts reserved huge pages.
        pids: whether it counts processes; if not, there are as many as there are members.
    """
    lines = [FORMAT, f"H {layout}", 'L {"type":"stats","id":"', "D", 'L ","data":{']
    if unified:
        lines += _unified(lambda name: where("", name), sizes, reserved, pids)
    else:
        lines += _legacy(where, sizes, reserved, pids)
    lines += ['L ,"intel_rdt":{},"network_interfaces":null}}']
    return "".join(f"{line}\n" for line in lines)


def _number(
    name: str, flags: str, file: str, key: str = "-", scale: int = 1, more: str = ""
) -> str:
    return f"N {name} {flags} {scale} {file} {key} {more}".rstrip()


def _unified(
    f: Callable[[str], str], sizes: Iterable[str], reserved: bool, pids: bool
) -> list[str]:
    cpu = f("cpu.stat")
    lines = [
        "O cpu", "O usage", _number("total", "s", cpu, "usage_usec", _MICRO),
        _number("kernel", "k", cpu, "system_usec", _MICRO),
        _number("user", "k", cpu, "user_usec", _MICRO), "C",
        "O throttling", _number("periods", "s", cpu, "nr_periods"),
        _number("throttledPeriods", "s", cpu, "nr_throttled"),
        _number("throttledTime", "s", cpu, "throttled_usec", _MICRO), "C",
        f"P {f('cpu.pressure')}", "C",
        "O cpuset", *(_number(name, "k", "-") for name in ("cpu_exclusive", *SWITCHES)), "C",
        "O memory", _number("cache", "s", f("memory.stat"), "file"),
        "O usage", _number("limit", "km", f("memory.max")),
        _number("usage", "s", f("memory.current")), _number("max", "s", f("memory.peak")),
        _number("failcnt", "k", "-"), "C",
        "O swap",
        _number("limit", "kmg", f("memory.swap.max"), more=f("memory.max")),
        _number("usage", "sg", f("memory.swap.current"), more=f("memory.current")),
        _number("failcnt", "k", "-"), "C",
    ]  # fmt: skip
    for name in ("kernel", "kernelTCP"):
        lines += [f"O {name}", _number("limit", "k", "-"), _number("failcnt", "k", "-"), "C"]
    lines += [f"M raw {f('memory.stat')}", f"P {f('memory.pressure')}", "C"]
    lines += _pids(f("pids.current"), f("pids.max"), pids)
    io = f("io.stat")
    lines += [
        "O blkio", f"I ioServiceBytesRecursive {io} rbytes=Read wbytes=Write",
        f"I ioServicedRecursive {io} rios=Read wios=Write", f"P {f('io.pressure')}", "C",
        "O hugetlb",
    ]  # fmt: skip
    for size in sorted(sizes):
        current = f(f"hugetlb.{size}.{'rsvd.' if reserved else ''}current")
        lines += [
            f"X {current}", f"O {size}", _number("usage", "s", current),
            _number("max", "s", "-"), _number("failcnt", "k", f(f"hugetlb.{size}.events"), "max"),
            "C",
        ]  # fmt: skip
    return [*lines, "C"]


def _pids(current: str, limit: str, counted: bool) -> list[str]:
    if not counted:
        return ["O pids", f"K current {current}", "C"]
    return [
        "O pids", f"X {current}", _number("current", "s", current),
        _number("limit", "sz", limit), "C",
    ]  # fmt: skip


def _legacy(where: Where, sizes: Iterable[str], reserved: bool, pids: bool) -> list[str]:
    from pyrunc.cgroups.stats_v1 import TICK

    ticks, quota = where("cpuacct", "cpuacct.stat"), where("cpu", "cpu.stat")
    table = where("cpuacct", "cpuacct.usage_all")
    lines = [
        "O cpu", "O usage", _number("total", "s", where("cpuacct", "cpuacct.usage")),
        f"A percpu {where('cpuacct', 'cpuacct.usage_percpu')} -", f"A percpu_kernel {table} 2",
        f"A percpu_user {table} 1", _number("kernel", "k", ticks, "system", TICK),
        _number("user", "k", ticks, "user", TICK), "C",
        "O throttling", _number("periods", "s", quota, "nr_periods"),
        _number("throttledPeriods", "s", quota, "nr_throttled"),
        _number("throttledTime", "s", quota, "throttled_time"), "C", "C",
        "O cpuset", f"R cpus {where('cpuset', 'cpuset.cpus')}",
        _number("cpu_exclusive", "ki", where("cpuset", "cpuset.cpu_exclusive")),
        f"R mems {where('cpuset', 'cpuset.mems')}",
        *(_number(name, "ki", where("cpuset", f"cpuset.{name}")) for name in SWITCHES), "C",
        "O memory", _number("cache", "s", where("memory", "memory.stat"), "cache"),
    ]  # fmt: skip
    for name, file in (("usage", "memory"), ("swap", "memory.memsw"), ("kernel", "memory.kmem"),
                       ("kernelTCP", "memory.kmem.tcp")):  # fmt: skip
        lines += _usage(name, lambda part, file=file: where("memory", f"{file}.{part}"))  # type: ignore[misc]
    lines += [f"M raw {where('memory', 'memory.stat')}", "C"]
    lines += _pids(where("pids", "pids.current"), where("pids", "pids.max"), pids)
    lines += ["O blkio", *_families(where), "C", "O hugetlb"]
    for size in sorted(sizes):
        middle = ".rsvd" if reserved else ""
        usage = where("hugetlb", f"hugetlb.{size}{middle}.usage_in_bytes")
        lines += [f"X {usage}", f"O {size}", _number("usage", "s", usage)]
        for name, flags, part in (("max", "s", "max_usage_in_bytes"), ("failcnt", "k", "failcnt")):
            file = where("hugetlb", f"hugetlb.{size}{middle}.{part}")
            lines.append(_number(name, flags, file))
        lines.append("C")
    return [*lines, "C"]


def _families(where: Where) -> list[str]:
    from pyrunc.cgroups.stats_v1 import BLKIO

    numbered = [*enumerate(BLKIO, 1)]
    lines = [f"G {n} {where('blkio', 'blkio.' + files['serviced'])}" for n, files in numbered]
    for member, name in IO:
        for n, files in numbered:
            if name in files:
                lines.append(f"B {n} {member} {where('blkio', f'blkio.{files[name]}')}")
    return lines


def _usage(name: str, file: Callable[[str], str]) -> list[str]:
    return [
        f"O {name}", _number("limit", "km", file("limit_in_bytes")),
        _number("usage", "s", file("usage_in_bytes")),
        _number("max", "s", file("max_usage_in_bytes")),
        _number("failcnt", "k", file("failcnt")), "C",
    ]  # fmt: skip
