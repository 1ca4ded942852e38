# SPDX-License-Identifier: Apache-2.0
"""How the program is scheduled and where its memory is allocated, as steps; pure.

The numbers are the kernel's, whose order the names in `spec.names` keep: policies and modes
count from 0, I/O classes from 1, flags are bits.
"""

from __future__ import annotations

from struct import pack, unpack

from pyrunc.errors import SpecError
from pyrunc.plan import steps
from pyrunc.plan.steps import Step
from pyrunc.spec.model import IOPriority, Process, Scheduler
from pyrunc.spec.model_linux import Linux, MemoryPolicy
from pyrunc.spec.names import (
    IOPRIO_CLASSES,
    MEMORY_FLAGS,
    MEMORY_MODES,
    SCHED_FLAGS,
    SCHED_POLICIES,
)

# struct sched_attr of sched_setattr(2) in its first version, which every kernel takes.
_SCHED_ATTR = "=IIQiIQQQ"
_SCHED_ATTR_SIZE = 48
# ioprio_set(2): the class is above the 13 bits of the priority.
_IOPRIO_CLASS_SHIFT = 13
# <linux/mempolicy.h>: the first of the mode's flags, MPOL_F_NUMA_BALANCING.
_FIRST_MEMORY_FLAG = 13
_PER_LINUX32 = 0x0008
# As many as any kernel is built for (CONFIG_NODES_SHIFT up to 10).
_MOST_NODES = 1024
_MOST_PROCESSORS = 8192


def compile_scheduling(process: Process, linux: Linux | None) -> list[Step]:
    """The steps that need the runtime's capabilities (CAP_SYS_NICE) and survive execve."""
    made: list[Step] = []
    if process.scheduler:
        made.append(_scheduler(process.scheduler))
    if process.ioPriority:
        made.append(_io_priority(process.ioPriority))
    if linux and linux.personality:
        domain = _PER_LINUX32 if linux.personality.domain == "LINUX32" else 0
        made.append(steps.Personality(domain=domain, pointer="/linux/personality"))
    if linux and linux.memoryPolicy:
        made.append(_memory_policy(linux.memoryPolicy))
    return made


def _scheduler(scheduler: Scheduler) -> Step:
    flags = sum(1 << SCHED_FLAGS.index(flag) for flag in set(scheduler.flags))
    attributes = pack(
        _SCHED_ATTR,
        _SCHED_ATTR_SIZE,
        SCHED_POLICIES.index(scheduler.policy),
        flags,
        scheduler.nice or 0,
        # The kernel refuses a negative one, as any that is out of its range.
        (scheduler.priority or 0) & 0xFFFFFFFF,
        scheduler.runtime or 0,
        scheduler.deadline or 0,
        scheduler.period or 0,
    )
    return steps.Scheduler(attributes=attributes, pointer="/process/scheduler")


def _io_priority(wanted: IOPriority) -> Step:
    number = IOPRIO_CLASSES.index(wanted.class_) + 1
    return steps.IoPriority(
        value=number << _IOPRIO_CLASS_SHIFT | (wanted.priority or 0), pointer="/process/ioPriority"
    )


def scheduler_words(attributes: bytes) -> str:
    """What a struct sched_attr says."""
    _, policy, flags, nice, priority, runtime, deadline, period = unpack(_SCHED_ATTR, attributes)
    words = [SCHED_POLICIES[policy]]
    words += [name for bit, name in enumerate(SCHED_FLAGS) if flags >> bit & 1]
    numbers = {
        "nice": nice, "priority": priority,
        "runtime": runtime, "deadline": deadline, "period": period,
    }  # fmt: skip
    return ", ".join([*words, *(f"{name} {number}" for name, number in numbers.items() if number)])


def io_priority_words(value: int) -> str:
    """What a number of ioprio_set(2) says."""
    number, level = value >> _IOPRIO_CLASS_SHIFT, value & (1 << _IOPRIO_CLASS_SHIFT) - 1
    return f"{IOPRIO_CLASSES[number - 1]}, level {level}"


def memory_policy_words(mode: int) -> str:
    """What a mode of set_mempolicy(2) says."""
    flags = [n for bit, n in enumerate(MEMORY_FLAGS, _FIRST_MEMORY_FLAG) if mode >> bit & 1]
    return " | ".join([MEMORY_MODES[mode & (1 << _FIRST_MEMORY_FLAG) - 1], *flags])


def _memory_policy(policy: MemoryPolicy) -> Step:
    flags = sum(1 << _FIRST_MEMORY_FLAG + MEMORY_FLAGS.index(flag) for flag in set(policy.flags))
    nodes = _numbers(policy.nodes or "", _MOST_NODES, "node", "/linux/memoryPolicy/nodes")
    return steps.MemoryPolicy(
        mode=MEMORY_MODES.index(policy.mode) | flags,
        # The kernel reads unsigned longs.
        nodes=sum(1 << node for node in nodes).to_bytes(_MOST_NODES // 8, "little")
        if nodes
        else b"",
        pointer="/linux/memoryPolicy",
    )


def affinity(text: str, pointer: str) -> Step:
    """The processors of execCPUAffinity, a list like "0-3,7"."""
    found = _numbers(text, _MOST_PROCESSORS, "processor", pointer)
    mask = sum(1 << number for number in found)
    return steps.Affinity(
        processors=mask.to_bytes(_MOST_PROCESSORS // 8, "little"), pointer=pointer
    )


def _numbers(text: str, most: int, what: str, pointer: str) -> set[int]:
    """The numbers of a list like "0-3,7"."""
    found: set[int] = set()
    for part in text.split(",") if text.strip() else ():
        first, dash, last = part.strip().partition("-")
        high = last if dash else first
        if not (first.isdecimal() and high.isdecimal() and int(first) <= int(high)):
            raise SpecError(f'"{text}" is not a list of {what}s like "0-3,7"', pointer=pointer)
        if int(high) >= most:
            raise SpecError(f"there is no {what} {high}", pointer=pointer)
        found.update(range(int(first), int(high) + 1))
    return found
