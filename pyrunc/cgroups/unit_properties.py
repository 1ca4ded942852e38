# SPDX-License-Identifier: Apache-2.0
"""linux.resources to properties of a systemd unit on cgroup v2. Pure.

systemd writes the same files as we do, and may write them again at any time (daemon-reload):
what it does not know it would reset. What it has no property for is left to the files alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyrunc.cgroups.cpu import weight
from pyrunc.cgroups.device_rules import ANY, Policy, letters
from pyrunc.cgroups.memory import swap_v2
from pyrunc.cgroups.write import expand
from pyrunc.spec.model_resources import CPU, Memory, Resources

# Name, D-Bus signature, value.
Property = tuple[str, str, Any]

INFINITY = (1 << 64) - 1
_PERIOD = 100_000  # microseconds; the kernel's default
_WEIGHT = 100  # the kernel's default
_SECOND = 1_000_000
# systemd keeps quotas in steps of one percent of a processor.
_QUOTA_STEP = 10_000
# The version of systemd that first has a property.
_QUOTA_PERIOD, _CPUSET, _IDLE, _OOM_POLICY = 242, 244, 252, 253

_UNIFIED_SIZES = {
    "memory.min": "MemoryMin",
    "memory.low": "MemoryLow",
    "memory.high": "MemoryHigh",
    "memory.max": "MemoryMax",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}


def of_resources(resources: Resources, version: Callable[[], int]) -> list[Property]:
    """The properties for a container's limits.

    Args:
        resources: linux.resources.
        version: asks for systemd's version; called only where it matters.
    """
    found: list[Property] = []
    if resources.memory:
        found += _memory(resources.memory)
    if resources.cpu:
        found += _cpu(resources.cpu, version)
    if resources.pids and resources.pids.limit is not None:
        # 0 reads as "no process at all" in the kernel; systemd refuses it.
        limit = resources.pids.limit
        found.append(("TasksMax", "t", INFINITY if limit < 0 else max(limit, 1)))
    if resources.unified:
        # Last, as with the files: it may override any of the others.
        found = [*found, *_unified(resources.unified, version)]
    return list({name: (name, kind, value) for name, kind, value in found}.values())


def of_devices(policy: Policy) -> list[Property]:
    """The properties for a device policy; our own filter enforces it either way.

    A policy that systemd cannot express is "auto" to it, which filters nothing: a narrower
    filter than asked for would break the container after a daemon-reload.
    """
    allowed = []
    for (kind, major, minor), access in policy.exceptions.items():
        if major == ANY and minor != ANY:
            return [("DevicePolicy", "s", "auto")]
        allowed.append((_device(kind, major, minor), letters(access)))
    if policy.default_allow:
        return [("DevicePolicy", "s", "auto")]
    return [("DevicePolicy", "s", "strict"), ("DeviceAllow", "a(ss)", allowed)]


def _device(kind: str, major: int, minor: int) -> str:
    name = {"c": "char", "b": "block"}[kind]
    if major == ANY:
        return f"{name}-*"
    return f"{name}-{major}" if minor == ANY else f"/dev/{name}/{major}:{minor}"


def quota_per_second(quota: int, period: int) -> int:
    """systemd's form of a CPU quota, rounded up to what it can keep.

    Args:
        quota: microseconds of processor time in each period.
        period: in microseconds, 0 for the default.

    Returns:
        Microseconds of processor time in a second.
    """
    return -(-quota * _SECOND // (period or _PERIOD) // _QUOTA_STEP) * _QUOTA_STEP


def rounded_quota(quota: int, period: int) -> int:
    """The quota that the file must hold to agree with `quota_per_second`, in microseconds."""
    return quota_per_second(quota, period) * (period or _PERIOD) // _SECOND


def _memory(memory: Memory) -> list[Property]:
    found: list[Property] = []
    if memory.limit:
        found.append(("MemoryMax", "t", _size(memory.limit)))
    if memory.reservation:
        found.append(("MemoryLow", "t", _size(memory.reservation)))
    swap = swap_v2(memory.limit, memory.swap)
    if swap:
        found.append(("MemorySwapMax", "t", INFINITY if swap == "max" else int(swap)))
    return found


def _cpu(cpu: CPU, version: Callable[[], int]) -> list[Property]:
    found: list[Property] = []
    if cpu.idle == 1:
        if version() >= _IDLE:
            found.append(("CPUWeight", "t", 0))
    elif cpu.shares:
        found.append(("CPUWeight", "t", weight(cpu.shares)))
    elif cpu.idle == 0:
        # An update may end an idle time; the kernel gives the default then.
        found.append(("CPUWeight", "t", _WEIGHT))
    if cpu.period and version() >= _QUOTA_PERIOD:
        found.append(("CPUQuotaPeriodUSec", "t", cpu.period))
    if cpu.quota or cpu.period:
        quota = cpu.quota or 0
        per_second = quota_per_second(quota, cpu.period or 0) if quota > 0 else INFINITY
        found.append(("CPUQuotaPerSecUSec", "t", per_second))
    for name, numbers in (("AllowedCPUs", cpu.cpus), ("AllowedMemoryNodes", cpu.mems)):
        if numbers and version() >= _CPUSET:
            found += _numbers(name, numbers)
    return found


def _numbers(name: str, text: str) -> list[Property]:
    numbers = expand(text)
    if not numbers:
        return []  # the file's write says what is wrong with it
    mask = sum(1 << number for number in numbers)
    return [(name, "ay", mask.to_bytes(max(numbers) // 8 + 1, "little"))]


def _unified(unified: dict[str, str], version: Callable[[], int]) -> list[Property]:
    found: list[Property] = []
    for key, text in unified.items():
        value = text.strip()
        if key in _UNIFIED_SIZES and (value == "max" or value.isdigit()):
            found.append((_UNIFIED_SIZES[key], "t", INFINITY if value == "max" else int(value)))
        elif key == "cpu.weight" and value.isdigit():
            found.append(("CPUWeight", "t", int(value)))
        elif key == "cpu.idle" and value == "1" and version() >= _IDLE:
            found.append(("CPUWeight", "t", 0))
        elif key == "cpu.max":
            found += _cpu_max(value, version)
        elif key in ("cpuset.cpus", "cpuset.mems") and version() >= _CPUSET:
            name = "AllowedCPUs" if key == "cpuset.cpus" else "AllowedMemoryNodes"
            found += _numbers(name, value)
        elif key == "memory.oom.group" and value in ("0", "1") and version() >= _OOM_POLICY:
            found.append(("OOMPolicy", "s", "kill" if value == "1" else "continue"))
    return found


def _cpu_max(value: str, version: Callable[[], int]) -> list[Property]:
    words = value.split()
    quota, period = words[0] if words else "", words[1] if len(words) == 2 else str(_PERIOD)
    if not period.isdigit() or int(period) == 0 or not (quota == "max" or quota.isdigit()):
        return []  # the file's write says what is wrong with it
    found: list[Property] = []
    if version() >= _QUOTA_PERIOD:
        found.append(("CPUQuotaPeriodUSec", "t", int(period)))
    per_second = INFINITY if quota == "max" else quota_per_second(int(quota), int(period))
    return [*found, ("CPUQuotaPerSecUSec", "t", per_second)]


def _size(value: int) -> int:
    return INFINITY if value == -1 else value
