# SPDX-License-Identifier: Apache-2.0
"""Fragments of `linux.resources` whose effect runc and pyrunc are compared by; and what may differ.

The table is data; `compare_cgroups.py` runs it, `cgroup_table.py` writes docs/cgroups.md from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MIB = 1 << 20
# "v1 rare" is in the guest, with the v1 controllers that the bare host has not got mounted;
# "v2 view" is the bare host's v2 hierarchy alone, which has one controller.
ALL = ("v1 rare", "v1 fs", "v2 view", "v2 fs", "v2 systemd")
V1, V2 = ALL[1:2], ALL[2:]
# What is run in the two views: rows whose names start so.
SOME = {
    "v1 rare": ("nothing", "huge_pages", "network", "rdma", "devices"),
    "v2 view": ("nothing", "huge_pages", "devices", "unified_huge", "unified_depth"),
}


@dataclass(frozen=True)
class Setting:
    """One fragment.

    Attributes:
        resources: joined into linux.resources.
        refused: the kinds of host and driver where both runtimes have to refuse it.
    """

    resources: dict[str, Any]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One difference that is known, and right.

    Attributes:
        reason: why.
        settings: names of SETTINGS where it shows; () is everywhere.
        files: a pattern of the files whose content differs, or whose presence does.
        refused: who refuses what the other takes: "runc" or "pyrunc".
        kinds: of host and driver, where it shows.
    """

    reason: str
    settings: tuple[str, ...] = ()
    files: str = ""
    refused: str = ""
    kinds: tuple[str, ...] = ALL


def memory(refused: tuple[str, ...] = (), **members: Any) -> Setting:
    return Setting({"memory": members}, refused)


def cpu(refused: tuple[str, ...] = (), **members: Any) -> Setting:
    return Setting({"cpu": members}, refused)


def block(refused: tuple[str, ...] = (), **members: Any) -> Setting:
    return Setting({"blockIO": members}, refused)


def pages(*limits: tuple[str, int], refused: tuple[str, ...] = V1) -> Setting:
    """The bare host has the controller on v2 only, beside its v1 ones: of no use to either."""
    made = [{"pageSize": size, "limit": limit} for size, limit in limits]
    return Setting({"hugepageLimits": made}, refused)


def unified(refused: tuple[str, ...] = V1, **files: str) -> Setting:
    """Files are named with two underscores where a dot stands."""
    return Setting({"unified": {n.replace("__", "."): v for n, v in files.items()}}, refused)


def device(major: int, minor: int, **members: Any) -> dict[str, Any]:
    return {"major": major, "minor": minor, **members}


def settings(major: int, minor: int) -> dict[str, Setting]:
    """The table.

    Args:
        major: of a block device of the host.
        minor: of it.
    """

    def rate(value: int) -> list[dict[str, Any]]:
        return [device(major, minor, rate=value)]

    return {
        "nothing": Setting({}),
        **_memory(),
        **_cpu(),
        "pids": Setting({"pids": {"limit": 77}}),
        "pids_unlimited": Setting({"pids": {"limit": -1}}),
        "pids_zero": Setting({"pids": {"limit": 0}}),
        "io_weight": block(weight=500),
        "io_weight_least": block(weight=10),
        "io_weight_most": block(weight=1000),
        "io_weight_zero": block(weight=0),
        "io_weight_too_small": block(ALL, weight=5),
        "io_weight_too_large": block(ALL, weight=2000),
        "io_weight_of_a_device": block(V1, weightDevice=[device(major, minor, weight=300)]),
        "io_leaf_weight": block(V1, leafWeight=300),
        "io_read_bps": block(throttleReadBpsDevice=rate(MIB)),
        "io_write_bps": block(throttleWriteBpsDevice=rate(2 * MIB)),
        "io_read_iops": block(throttleReadIOPSDevice=rate(300)),
        "io_write_iops": block(throttleWriteIOPSDevice=rate(400)),
        "io_all_rates": block(
            throttleReadBpsDevice=rate(MIB),
            throttleWriteBpsDevice=rate(2 * MIB),
            throttleReadIOPSDevice=rate(300),
            throttleWriteIOPSDevice=rate(400),
        ),
        "io_rate_zero": block(throttleReadBpsDevice=rate(0)),
        "io_rate_of_no_device": block(ALL, throttleReadBpsDevice=[device(4000, 0, rate=MIB)]),
        "huge_pages": pages(("2MB", 4 * MIB)),
        "huge_pages_of_two_sizes": pages(("2MB", 4 * MIB), ("1GB", 0)),
        "huge_pages_rounded": pages(("2MB", 5 * MIB)),
        "huge_pages_without_limit": pages(("2MB", 2**64 - 1)),
        "huge_pages_of_no_size": pages(("3MB", 0), refused=ALL),
        "huge_pages_outside": pages(("../../2MB", 0), refused=ALL),
        "network_class": Setting({"network": {"classID": 0x100001}}, V1),
        "network_priorities": Setting(
            {"network": {"priorities": [{"name": "lo", "priority": 3}]}}, V1
        ),
        "rdma_of_no_device": Setting({"rdma": {"nosuch0": {"hcaHandles": 3}}}, ALL),
        **_unified(f"{major}:{minor}"),
        **_devices(),
        "docker_like": Setting(
            {
                "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
                "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000, "cpus": "0"},
                "pids": {"limit": 100},
                "blockIO": {"weight": 0},
            }
        ),
    }


def names(kind: str) -> list[str]:
    """The rows that are run on a kind of host and driver."""
    return [name for name in settings(0, 0) if name.startswith(SOME.get(kind, ("",)))]


def _memory() -> dict[str, Setting]:
    some = 64 * MIB
    return {
        "memory_limit": memory(limit=some),
        "memory_limit_rounded": memory(limit=some + 1),
        "memory_limit_unlimited": memory(limit=-1),
        "memory_limit_zero": memory(limit=0),
        "memory_limit_negative": memory(ALL, limit=-2),
        "memory_reservation": memory(reservation=some // 2),
        "memory_reservation_unlimited": memory(reservation=-1),
        "memory_limit_and_reservation": memory(limit=some, reservation=some // 2),
        "memory_swap": memory(limit=some, swap=2 * some),
        "memory_swap_equal": memory(limit=some, swap=some),
        "memory_swap_zero": memory(limit=some, swap=0),
        "memory_swap_unlimited": memory(limit=some, swap=-1),
        "memory_swap_unlimited_alone": memory(swap=-1),
        "memory_swap_of_unlimited_memory": memory(V1, limit=-1, swap=2 * some),
        "memory_swap_below_limit": memory(ALL, limit=some, swap=some // 2),
        "memory_swap_alone": memory(ALL, swap=some),
        "memory_swappiness": memory(swappiness=10),
        "memory_swappiness_zero": memory(limit=some, swappiness=0),
        "memory_swappiness_too_large": memory(V1, swappiness=101),
        "memory_without_oom_killer": memory(limit=some, disableOOMKiller=True),
        "memory_with_oom_killer": memory(limit=some, disableOOMKiller=False),
        "memory_kernel": memory(limit=some, kernel=some // 2, kernelTCP=some // 4),
        "memory_hierarchy": memory(limit=some, useHierarchy=True),
        "memory_checked": memory(limit=some, checkBeforeUpdate=True),
    }


def _cpu() -> dict[str, Setting]:
    return {
        "cpu_shares": cpu(shares=512),
        "cpu_shares_default": cpu(shares=1024),
        "cpu_shares_least": cpu(shares=2),
        "cpu_shares_most": cpu(shares=262_144),
        "cpu_shares_zero": cpu(shares=0),
        "cpu_shares_too_small": cpu(V1, shares=1),
        "cpu_shares_too_large": cpu(V1, shares=262_145),
        "cpu_quota": cpu(quota=20_000),
        "cpu_quota_and_period": cpu(quota=30_000, period=60_000),
        "cpu_quota_of_odd_percents": cpu(quota=33_333, period=100_000),
        "cpu_quota_unlimited": cpu(quota=-1, period=50_000),
        "cpu_quota_too_small": cpu(ALL, quota=5),
        "cpu_period": cpu(period=50_000),
        "cpu_period_too_long": cpu(ALL, period=2_000_000),
        "cpu_burst": cpu(quota=50_000, burst=10_000),
        "cpu_burst_above_quota": cpu(quota=5_000, burst=10_000),
        "cpu_idle": cpu(idle=1),
        "cpu_idle_not": cpu(idle=0, shares=512),
        "cpu_real_time": cpu(realtimeRuntime=1000, realtimePeriod=500_000),
        "cpuset_cpus": cpu(cpus="0"),
        "cpuset_cpus_and_mems": cpu(cpus="0", mems="0"),
        "cpuset_list": cpu(cpus="0,0", mems="0-0"),
        "cpuset_of_no_cpu": cpu(ALL, cpus="4000"),
        "cpuset_of_words": cpu(ALL, cpus="all-of-them"),
        "cpuset_of_no_node": cpu(ALL, mems="63"),
    }


def _unified(disk: str) -> dict[str, Setting]:
    return {
        "unified_memory": unified(memory__high="50000000", memory__min="4194304"),
        "unified_memory_group": unified(memory__oom__group="1"),
        "unified_over_memory": Setting(
            {"memory": {"limit": 64 * MIB}, "unified": {"memory.max": str(32 * MIB)}}, V1
        ),
        "unified_pids": unified(pids__max="55"),
        "unified_cpu": unified(cpu__weight="300", cpu__max="30000 60000"),
        "unified_cpuset": unified(cpuset__cpus="0", cpuset__mems="0"),
        "unified_io": unified(io__max=f"{disk} rbps=2097152 wiops=120"),
        "unified_io_lines": unified(io__max=f"{disk} rbps=2097152\n{disk} wiops=120"),
        "unified_depth": unified(cgroup__max__depth="3"),
        "unified_huge_pages": Setting({"unified": {"hugetlb.2MB.max": "4194304"}}, V1),
        "unified_outside": Setting({"unified": {"../pids.max": "5"}}, ALL),
        "unified_without_parameter": Setting({"unified": {"memory": "5"}}, ALL),
        "unified_of_no_controller": Setting({"unified": {"nosuch.max": "5"}}, ALL),
        "unified_of_no_file": Setting({"unified": {"memory.nosuch": "5"}}, ALL),
        "unified_wrong_value": Setting({"unified": {"pids.max": "many"}}, ALL),
    }


def _devices() -> dict[str, Setting]:
    deny = {"allow": False, "access": "rwm"}
    some = [
        deny,
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": True, "type": "b", "major": 7, "access": "r"},
    ]
    return {
        "devices": Setting({"devices": some}),
        "devices_all": Setting({"devices": [{"allow": True, "access": "rwm"}]}),
        "devices_none": Setting({"devices": []}),
        "devices_of_no_type": Setting({"devices": [{**deny, "type": "x"}]}, ALL),
        "devices_without_access": Setting({"devices": [{"allow": False, "access": ""}]}, ALL),
    }


SHARES = ("cpu_shares", "cpu_shares_default", "cpu_idle_not", "docker_like")
DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "the curve from shares to weights of runc 1.3.2 and crun 1.23: 1024 is the default again",
        SHARES,
        r"cpu\.weight(\.nice)?|unit CPUWeight",
        kinds=V2,
    ),
    Difference(
        "runc 1.1.5 limits only the pages in use; later versions reserved ones as well",
        ("huge_pages", "huge_pages_of_two_sizes", "huge_pages_rounded", "huge_pages_without_limit"),
        r"hugetlb\..*\.rsvd\.max",
        kinds=("v2 view",),
    ),
    Difference(
        "runc 1.1 knows no burst",
        ("cpu_burst",),
        r"(cpu/)?cpu\.(cfs_burst_us|max\.burst)",
    ),
    Difference(
        "a burst above the quota is refused; runc 1.1 knows no burst",
        ("cpu_burst_above_quota",),
        refused="pyrunc",
    ),
    Difference(
        "runc 1.1 knows no idle",
        ("cpu_idle",),
        r"(cpu/)?cpu\.(idle|shares|weight(\.nice)?)|unit CPUWeight",
    ),
    Difference(
        "the old curve of runc 1.1 leaves the range of numbers for a share of 1",
        ("cpu_shares_too_small",),
        refused="runc",
        kinds=V2,
    ),
    Difference(
        "systemd keeps whole percents: pyrunc rounds up in the file too, as runc since 1.2",
        ("cpu_quota_of_odd_percents",),
        r"cpu\.max",
        kinds=("v2 systemd",),
    ),
    Difference(
        "see above: rounded up to a percent, the kernel takes it",
        ("cpu_quota_too_small",),
        refused="runc",
        kinds=("v2 systemd",),
    ),
    Difference(
        "0 processes are a limit in the specification; runc 1.1 takes 0 as not set. Written as 1, "
        "since init is one and systemd knows no 0",
        ("pids_zero",),
        r"(pids/)?pids\.max|unit TasksMax",
    ),
    Difference(
        "memory and swap of unlimited memory: pyrunc limits swap, as runc since 1.2",
        ("memory_swap_of_unlimited_memory",),
        refused="runc",
        kinds=V2,
    ),
    Difference(
        "runc 1.1 does not tell systemd a limit of 0 on swap",
        ("memory_swap_equal",),
        r"unit MemorySwapMax",
        kinds=("v2 systemd",),
    ),
    Difference(
        "cgroup v2 cannot do it, and the specification wants an error; runc ignores it",
        (
            *("memory_swappiness", "memory_swappiness_zero", "memory_swappiness_too_large"),
            *("memory_without_oom_killer", "memory_kernel", "cpu_real_time", "io_leaf_weight"),
            *("network_class", "network_priorities"),
        ),
        refused="pyrunc",
        kinds=V2,
    ),
    Difference(
        "the specification's range is 10 to 1000; runc leaves it to the kernel",
        ("io_weight_too_small",),
        refused="pyrunc",
        kinds=V1,
    ),
    Difference(
        "without BFQ runc ignores the weight of a device; pyrunc sets io.weight, which the kernel "
        "refuses where iocost is not enabled for the device",
        ("io_weight_of_a_device",),
        refused="pyrunc",
        kinds=V2,
    ),
    Difference(
        "a rate of 0 is no limit on v1; pyrunc says so on v2 too, where the kernel refuses the 0",
        ("io_rate_zero",),
        refused="runc",
        kinds=V2,
    ),
    Difference(
        "several lines are written one by one, as runc since 1.2",
        ("unified_io_lines",),
        refused="runc",
        kinds=V2,
    ),
)
