# SPDX-License-Identifier: Apache-2.0
"""resources.cpu to the files of the cpu controller. Pure; must not touch a cgroup.

Zero means "not set" for shares, quota and period: that is what Go's runtimes write for an absent
value.
"""

from __future__ import annotations

from math import ceil, log2

from pyrunc.cgroups.write import SHARES, Limit
from pyrunc.errors import SpecError, UnsupportedError
from pyrunc.spec.model_resources import CPU

PERIOD = 100_000
LEAST_PERIOD, MOST_PERIOD = 1_000, 1_000_000  # the kernel's own
MIN_SHARES, MAX_SHARES = 2, 262_144
MAX_WEIGHT = 10_000


def weight(shares: int) -> int:
    """cpu.shares (v1) to cpu.weight (v2).

    The curve of runc 1.3.2, crun 1.23 and youki: it maps the default, 1024, to the default,
    100, and the ends of one range to the ends of the other.

    Args:
        shares: 0, or 2 to 262144; what lies outside is clamped.

    Returns:
        0 for "not set", else 1 to 10000.
    """
    if shares <= 0:
        return 0
    if shares <= MIN_SHARES:
        return 1
    if shares >= MAX_SHARES:
        return MAX_WEIGHT
    level = log2(shares)
    # One fraction over 612, not the sum of two: 1024 shares are 1224/612 then, exactly 2.
    # Divided separately the sum is a hair above 2, and the ceiling makes 101 of it.
    return ceil(10 ** ((level * level + 125 * level - 126) / 612))


def check(cpu: CPU, base: str, v2: bool) -> None:
    """Refuse values that contradict each other, and what v2 has no file for.

    Args:
        cpu: resources.cpu.
        base: JSON pointer of the resources object.
        v2: for cgroup v2, else for v1.

    Raises:
        SpecError: the burst is larger than the quota, or real-time limits on v2.
    """
    if cpu.burst and cpu.quota is not None and 0 < cpu.quota < cpu.burst:
        raise SpecError(
            f"burst {cpu.burst} is larger than the quota {cpu.quota}",
            pointer=f"{base}/cpu/burst",
        )
    for name in ("realtimeRuntime", "realtimePeriod"):
        if v2 and getattr(cpu, name):
            raise UnsupportedError(
                "limits on real-time tasks are not supported on cgroup v2",
                pointer=f"{base}/cpu/{name}",
                hint="leave it out",
            )


def limits_v2(cpu: CPU) -> list[Limit]:
    """The values for cgroup v2, in writing order."""
    found = []
    if cpu.idle is not None:
        found.append(Limit("cpu.idle", str(cpu.idle), "/cpu/idle"))
    # An idle group has no weight, and the kernel refuses one with EINVAL.
    if cpu.shares and cpu.idle != 1:
        found.append(Limit("cpu.weight", str(weight(cpu.shares)), "/cpu/shares"))
    if cpu.burst is not None:
        # Raised before a quota that shrinks below it, or after one that grows to allow it.
        found.append(Limit("cpu.max.burst", str(cpu.burst), "/cpu/burst", defer=True))
    if cpu.quota or cpu.period:
        quota = str(cpu.quota) if cpu.quota and cpu.quota > 0 else "max"
        period = cpu.period or PERIOD
        # An update takes the other one from the state: the one at fault is to be named.
        fits = LEAST_PERIOD <= period <= MOST_PERIOD
        pointer = "/cpu/quota" if cpu.quota and fits else "/cpu/period"
        found.append(Limit("cpu.max", f"{quota} {period}", pointer))
    return found


def limits_v1(cpu: CPU) -> list[Limit]:
    """The values for cgroup v1, in writing order."""
    found = []
    if cpu.idle is not None:
        found.append(Limit("cpu.idle", str(cpu.idle), "/cpu/idle"))
    if cpu.shares and cpu.idle != 1:
        found.append(Limit("cpu.shares", str(cpu.shares), "/cpu/shares", compare=SHARES))
    if cpu.period:
        found.append(Limit("cpu.cfs_period_us", str(cpu.period), "/cpu/period", defer=True))
    if cpu.burst is not None:
        found.append(
            Limit("cpu.cfs_burst_us", str(cpu.burst), "/cpu/burst", optional=True, defer=True)
        )
    if cpu.quota:
        quota = str(cpu.quota) if cpu.quota > 0 else "-1"
        found.append(Limit("cpu.cfs_quota_us", quota, "/cpu/quota"))
    # Before any process is in: the kernel refuses real-time tasks a group without runtime.
    if cpu.realtimePeriod:
        value = str(cpu.realtimePeriod)
        found.append(Limit("cpu.rt_period_us", value, "/cpu/realtimePeriod", defer=True))
    if cpu.realtimeRuntime:
        value = str(cpu.realtimeRuntime)
        found.append(Limit("cpu.rt_runtime_us", value, "/cpu/realtimeRuntime"))
    return found
