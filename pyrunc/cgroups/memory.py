# SPDX-License-Identifier: Apache-2.0
"""resources.memory to the files of the memory controller. Pure; must not touch a cgroup.

In the configuration `swap` is memory and swap together, -1 is no limit, and 0 is "not set", as in
every Go runtime.
"""

from __future__ import annotations

from pyrunc.cgroups.write import BYTES, FLAG, Limit
from pyrunc.errors import SpecError, UnsupportedError
from pyrunc.spec.model_resources import Memory

MAX_SWAPPINESS = 100
# Not supported on cgroup v2. useHierarchy is not among them: v2 is always hierarchical,
# and so is v1 since Linux 5.11.
_V1_ONLY = ("kernel", "kernelTCP", "swappiness", "disableOOMKiller")


def check(memory: Memory, base: str, v2: bool) -> list[str]:
    """Refuse values that are wrong on any kernel, or on this version of cgroups.

    Args:
        memory: resources.memory.
        base: JSON pointer of the resources object.
        v2: for cgroup v2, else for v1.

    Returns:
        Warnings: what is asked for and, as with runc, not done on v1.

    Raises:
        SpecError: a negative number other than -1, a swap limit below the memory limit or
            without one, a swappiness above 100, or what v2 cannot do.
    """
    where = f"{base}/memory"
    for name in ("limit", "swap", "reservation"):
        value = getattr(memory, name)
        if value is not None and value < -1:
            raise SpecError(f"invalid memory value {value}", pointer=f"{where}/{name}")
    limit, swap = memory.limit or 0, memory.swap or 0
    if limit > 0 and 0 < swap < limit:
        raise SpecError(
            f"memory+swap limit should be >= memory limit ({swap} < {limit})",
            pointer=f"{where}/swap",
        )
    if memory.swappiness is not None and memory.swappiness > MAX_SWAPPINESS:
        raise SpecError(
            f"invalid memory swappiness value {memory.swappiness} (valid range is 0-100)",
            pointer=f"{where}/swappiness",
        )
    if not v2:
        # Linux 5.16 has no limit on the kernel's memory any more; what is left ignores writes.
        names = [n for n in ("kernel", "kernelTCP") if (getattr(memory, n) or 0) > 0]
        return [f"{where}/{n} is ignored: the limit on memory covers it" for n in names]
    if swap > 0 and not limit:
        raise SpecError("unable to set swap limit without memory limit", pointer=f"{where}/swap")
    for name in _V1_ONLY:
        value = getattr(memory, name)
        # -1 is no limit, which is what v2 has; but a swappiness of 0 is a request.
        if value is None or (value in (False, -1) and name != "swappiness"):
            continue
        raise UnsupportedError(
            f"{name} is not supported on cgroup v2", pointer=f"{where}/{name}", hint="leave it out"
        )
    return []


def swap_v2(limit: int | None, swap: int | None) -> str:
    """What memory.swap.max has to be, "" when it is not to be written.

    Args:
        limit: memory.limit, in bytes.
        swap: memory and swap together, in bytes; not without a limit, `check` has seen to it.
    """
    most, both = limit or 0, swap or 0
    if both == -1 or (most == -1 and not both):
        return "max"
    if not both:
        return ""
    if most == -1:
        return str(both)
    return str(both - most)


def limits_v2(memory: Memory) -> list[Limit]:
    """The values for cgroup v2, in writing order: swap first, as runc."""
    found = []
    swap = swap_v2(memory.limit, memory.swap)
    if swap:
        # Without swap accounting there is no file; "no limit" and "no swap" hold then anyway.
        optional = swap in ("max", "0")
        found.append(
            Limit("memory.swap.max", swap, "/memory/swap", compare=BYTES, optional=optional)
        )
    if memory.limit:
        found.append(Limit("memory.max", _number(memory.limit), "/memory/limit", compare=BYTES))
    if memory.reservation:
        value = _number(memory.reservation)
        found.append(Limit("memory.low", value, "/memory/reservation", compare=BYTES))
    return found


def limits_v1(memory: Memory, current: int | None, has_swap: bool) -> list[Limit]:
    """The values for cgroup v1, in writing order.

    Args:
        memory: resources.memory.
        current: the limit that is set now, in bytes; None for a new cgroup, which has none.
        has_swap: the kernel accounts swap (memory.memsw.* exist).
    """
    limit, swap = memory.limit or 0, memory.swap or 0
    if limit == -1 and not swap and has_swap:
        # The sum may not be below its part: lifting one limit alone is refused.
        swap = -1
    found = []
    if limit:
        found.append(Limit("memory.limit_in_bytes", str(limit), "/memory/limit", compare=BYTES))
    if swap:
        found.append(Limit("memory.memsw.limit_in_bytes", str(swap), "/memory/swap", compare=BYTES))
    # memsw >= limit must hold after each write, so what grows is written in this order.
    if limit and swap and (swap == -1 or (current is not None and current < swap)):
        found.reverse()
    if memory.reservation:
        value = str(memory.reservation)
        found.append(
            Limit("memory.soft_limit_in_bytes", value, "/memory/reservation", compare=BYTES)
        )
    if memory.disableOOMKiller:
        found.append(Limit("memory.oom_control", "1", "/memory/disableOOMKiller", compare=FLAG))
    if memory.swappiness is not None:
        found.append(Limit("memory.swappiness", str(memory.swappiness), "/memory/swappiness"))
    return found


def refuse_below_usage(memory: Memory, usage: int, base: str) -> None:
    """memory.checkBeforeUpdate: a limit at or below the usage would kill right away.

    Args:
        memory: resources.memory.
        usage: memory.current, in bytes.
        base: JSON pointer of the resources object.

    Raises:
        SpecError: the new limit is not above the usage.
    """
    limit, swap = memory.limit or 0, memory.swap or 0
    if 0 < limit <= usage:
        raise SpecError(
            f"rejected: {limit} is not above the usage, {usage}", pointer=f"{base}/memory/limit"
        )
    if 0 < swap <= usage:
        raise SpecError(
            f"rejected: {swap} is not above the usage, {usage}", pointer=f"{base}/memory/swap"
        )


def _number(value: int) -> str:
    return "max" if value == -1 else str(value)
