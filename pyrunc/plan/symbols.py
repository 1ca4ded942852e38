# SPDX-License-Identifier: Apache-2.0
"""What the numbers of steps mean, in the names of the kernel's headers and of mount(8); pure."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack
from typing import Any

from pyrunc.kernel import constants as k
from pyrunc.plan import scheduling, steps
from pyrunc.plan.steps import Step
from pyrunc.plan.wire import Message
from pyrunc.spec.names import CAPABILITIES

Value = str | int | bool | list[str] | None

_NAMESPACES = {
    getattr(k, name): name
    for name in (
        "CLONE_NEWNS", "CLONE_NEWCGROUP", "CLONE_NEWUTS", "CLONE_NEWIPC", "CLONE_NEWUSER",
        "CLONE_NEWPID", "CLONE_NEWNET", "CLONE_NEWTIME",
    )
}  # fmt: skip
_ATTRIBUTES = {
    k.MOUNT_ATTR_RDONLY: "ro",
    k.MOUNT_ATTR_NOSUID: "nosuid",
    k.MOUNT_ATTR_NODEV: "nodev",
    k.MOUNT_ATTR_NOEXEC: "noexec",
    k.MOUNT_ATTR_NODIRATIME: "nodiratime",
    k.MOUNT_ATTR_NOSYMFOLLOW: "nosymfollow",
}
# One field of four values, not bits.
_ATIME = {k.MOUNT_ATTR_NOATIME: "noatime", k.MOUNT_ATTR_STRICTATIME: "strictatime"}
_MOUNT_FLAGS = {
    k.MS_RDONLY: "ro",
    k.MS_SYNCHRONOUS: "sync",
    k.MS_MANDLOCK: "mand",
    k.MS_DIRSYNC: "dirsync",
    k.MS_LAZYTIME: "lazytime",
}
_PROPAGATION = {
    k.MS_PRIVATE: "private",
    k.MS_SLAVE: "slave",
    k.MS_SHARED: "shared",
    k.MS_UNBINDABLE: "unbindable",
}
_SIGNALS = {
    k.SIGINT: "SIGINT", k.SIGQUIT: "SIGQUIT", k.SIGKILL: "SIGKILL", k.SIGTERM: "SIGTERM",
}  # fmt: skip
_NODES = {k.S_IFCHR: "character device", k.S_IFBLK: "block device", k.S_IFIFO: "fifo"}
# <linux/seccomp.h>
_FILTER_FLAGS = {
    1: "SECCOMP_FILTER_FLAG_TSYNC",
    2: "SECCOMP_FILTER_FLAG_LOG",
    4: "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    8: "SECCOMP_FILTER_FLAG_NEW_LISTENER",
    16: "SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
    32: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
}
# keyctl(2)
_KEY_PERMISSIONS = {0x00080000: "search by its owner", 0x00000008: "search by others"}
_PERSONALITIES = {0x0000: "PER_LINUX", 0x0008: "PER_LINUX32"}
_CAPABILITIES = {1 << number: name for number, name in enumerate(CAPABILITIES)}
_INSTRUCTION = 8  # bytes of struct sock_filter


def namespaces(flags: int) -> list[str]:
    """CLONE_NEW* bits by their names."""
    return _bits(_NAMESPACES, flags)


def _bits(table: dict[int, str], value: int) -> list[str]:
    """The names of bits, lowest first; those without a name as one number."""
    named = [name for bit, name in table.items() if value & bit]
    rest = value & ~sum(bit for bit in table if value & bit)
    return named + ([hex(rest)] if rest else [])


def _attributes(value: int) -> list[str]:
    """MOUNT_ATTR_* as options of mount(8)."""
    atime = value & k.MOUNT_ATTR_ATIME
    words = _bits(_ATTRIBUTES, value & ~k.MOUNT_ATTR_ATIME)
    if atime:
        # All bits of the field: it is cleared before it is set.
        words.append(_ATIME.get(atime, "atime"))
    return words


def _numbers(mask: bytes) -> list[str]:
    """The bits of a mask as a list like 0-3,7 has them."""
    bits = int.from_bytes(mask, "little")
    found = [number for number in range(bits.bit_length()) if bits >> number & 1]
    starts = [n for n in found if n - 1 not in found]
    ends = [n for n in found if n + 1 not in found]
    return [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]


def _octal(value: int) -> str:
    return f"{value:04o}"


def _table(names: dict[int, str]) -> Callable[[Any], Value]:
    return lambda value: names.get(value, hex(value))


def _flags(names: dict[int, str]) -> Callable[[Any], Value]:
    return lambda value: _bits(names, value)


_SIGNAL_BITS = {1 << number: name for number, name in _SIGNALS.items()}
# What a field's number means: of one step, or (under `Step`) of all that have such a field.
_READERS: dict[tuple[type[Step], str], Callable[[Any], Value]] = {
    (steps.ParentDeath, "signal"): lambda value: _SIGNALS.get(value, value),
    (steps.Sync, "message"): lambda value: Message(value).name.lower(),
    (steps.JoinNamespace, "flag"): namespaces,
    (steps.Unshare, "flags"): namespaces,
    (steps.NewSession, "ending"): _flags(_SIGNAL_BITS),
    (steps.SessionKeyring, "permissions"): _table(_KEY_PERMISSIONS),
    (steps.Propagation, "flag"): _table(_PROPAGATION),
    (steps.LongFilesystem, "flags"): _flags(_MOUNT_FLAGS),
    (steps.Attach, "rule"): lambda value: steps.TargetRule(value).name.lower(),
    (steps.CopyUp, "mode"): bool,
    (steps.MakeNode, "kind"): _table(_NODES),
    (steps.Umask, "mask"): _octal,
    (steps.AmbientCapabilities, "mask"): _flags(_CAPABILITIES),
    (steps.SetIds, "groups"): lambda value: [
        str(gid) for gid in unpack(f"={len(value) // 4}I", value)
    ],
    (steps.Scheduler, "attributes"): scheduling.scheduler_words,
    (steps.IoPriority, "value"): scheduling.io_priority_words,
    (steps.MemoryPolicy, "mode"): scheduling.memory_policy_words,
    (steps.MemoryPolicy, "nodes"): _numbers,
    (steps.Affinity, "processors"): _numbers,
    (steps.Personality, "domain"): _table(_PERSONALITIES),
    (steps.FindProgram, "loader"): lambda value: steps.LoaderCheck(value).name.lower(),
    (steps.Seccomp, "program"): lambda value: f"{len(value) // _INSTRUCTION} instructions",
    (steps.Seccomp, "flags"): _flags(_FILTER_FLAGS),
    (steps.Seccomp, "listener"): lambda value: steps.Listener(value).name.lower(),
    (Step, "set"): _attributes,
    (Step, "clear"): _attributes,
    (Step, "fallback"): _attributes,
    (Step, "attributes"): _attributes,
    (Step, "mode"): _octal,
    (Step, "keep"): _flags(_CAPABILITIES),
    (Step, "effective"): _flags(_CAPABILITIES),
    (Step, "permitted"): _flags(_CAPABILITIES),
    (Step, "inheritable"): _flags(_CAPABILITIES),
}


def read(step: Step, name: str) -> Value:
    """A field of a step, as what it means."""
    value = getattr(step, name)
    reader = _READERS.get((type(step), name)) or _READERS.get((Step, name))
    if reader:
        return reader(value)
    return list(value) if isinstance(value, tuple) else value
