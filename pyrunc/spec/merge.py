# SPDX-License-Identifier: Apache-2.0
"""What an update makes of a container's resources. Pure: JSON values in, JSON values out.

As in every Go runtime a zero is "not set" for memory, shares, quota and period.
"""

from __future__ import annotations

from typing import Any

_NO_LIMIT = -1
# Where zero means nothing.
_NUMBERS = {
    "memory": ("limit", "swap", "reservation", "kernel", "kernelTCP"),
    "cpu": ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems"),
    "blockIO": ("weight", "leafWeight"),
}
_LISTS = {
    "hugepageLimits": ("pageSize",),
    "weightDevice": ("major", "minor"),
    "throttleReadBpsDevice": ("major", "minor"),
    "throttleWriteBpsDevice": ("major", "minor"),
    "throttleReadIOPSDevice": ("major", "minor"),
    "throttleWriteIOPSDevice": ("major", "minor"),
    "priorities": ("name",),
}
# Two numbers that the kernel takes together, or checks against each other.
_PAIRS = {"memory": ("limit", "swap"), "cpu": ("quota", "period")}
# And what goes with them.
_WITH = {"memory": ("limit", "swap", "checkBeforeUpdate"), "cpu": ("quota", "period")}
_MEMBERS = ("memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified")


def wanted(update: dict[str, Any]) -> dict[str, Any]:
    """The members of a resources object that can be updated and mean something.

    Args:
        update: as received: with device rules, which an update never touches, with unknown
            members, and with empty ones, which engines send.
    """
    found = {}
    for name in _MEMBERS:
        value = update.get(name)
        if isinstance(value, dict) and name in _NUMBERS:
            idle = {k: v for k, v in value.items() if k in _NUMBERS[name] and not v}
            value = {k: v for k, v in value.items() if k not in idle and v is not None}
        if value or not isinstance(value, dict | list | None):
            found[name] = value
    return found


def merge(saved: dict[str, Any], update: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put an update into what is saved.

    Args:
        saved: the resources of the container until now.
        update: from `wanted`, checked.

    Returns:
        The resources afterwards; and what has to be set for that: the update, with the saved
        values that the kernel needs along with it (the period of a quota, the memory of a swap).
    """
    after = dict(saved)
    change = {}
    for name, value in update.items():
        if name in ("memory", "cpu"):
            after[name] = _numbers(name, saved.get(name) or {}, value)
            change[name] = dict(value)
            if any(key in value for key in _PAIRS[name]):
                known = after[name]
                change[name] |= {key: known[key] for key in _WITH[name] if key in known}
        else:
            after[name] = _joined(name, saved.get(name), value)
            change[name] = value
    return after, change


def _numbers(name: str, saved: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    after = saved | update
    if name == "memory" and update.get("limit") == _NO_LIMIT and "swap" not in update:
        # Their sum may not be less than the part of it that is unlimited now.
        after.pop("swap", None)
    if name == "cpu" and "idle" in update and "shares" not in update:
        # The kernel forgets the weight of an idle cgroup.
        after.pop("shares", None)
    return after


def _joined(name: str, saved: Any, update: Any) -> Any:
    if isinstance(update, dict) and isinstance(saved, dict):
        both = saved | update
        return {
            key: _joined(key, saved.get(key), value) if key in update else value
            for key, value in both.items()
        }
    if isinstance(update, list) and isinstance(saved, list) and name in _LISTS:
        rows: dict[Any, Any] = {}
        for row in (*saved, *update):
            key = tuple(row[part] for part in _LISTS[name])
            rows[key] = rows.get(key, {}) | row
        return list(rows.values())
    return update
