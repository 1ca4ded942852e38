# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: `linux`, without its resources.

Same conventions and the same limits as model.py.
"""

# The names are the specification's.
# ruff: noqa: N815

from __future__ import annotations

from dataclasses import field

from pyrunc.spec.fields import (
    BOOL,
    INT64,
    STRING,
    STRING_MAP,
    STRINGS,
    STRINGS_OR_NONE,
    UINT32,
    UINT64,
    Model,
    json_object,
    many,
    mapping,
    one,
    optional,
    required,
)
from pyrunc.spec.model_resources import Resources


@json_object
class Namespace(Model):
    """One namespace: new, or the one at `path`."""

    type: str = required(STRING)
    path: str | None = optional(STRING)


@json_object
class IDMapping(Model):
    """One range of user or group ids."""

    containerID: int = required(UINT32)
    hostID: int = required(UINT32)
    size: int = required(UINT32)


@json_object
class TimeOffset(Model):
    """How far one clock of the time namespace is ahead."""

    secs: int = optional(INT64, 0)
    nanosecs: int = optional(UINT32, 0)


@json_object
class Device(Model):
    """One device node to make."""

    type: str = required(STRING)
    path: str = required(STRING)
    major: int | None = optional(INT64)
    minor: int | None = optional(INT64)
    fileMode: int | None = optional(UINT32)
    uid: int | None = optional(UINT32)
    gid: int | None = optional(UINT32)


@json_object
class NetDevice(Model):
    """A network device to move in, and its new name."""

    name: str | None = optional(STRING)


@json_object
class IntelRdt(Model):
    """Cache and memory bandwidth allocation through resctrl."""

    closID: str | None = optional(STRING)
    l3CacheSchema: str | None = optional(STRING)
    memBwSchema: str | None = optional(STRING)
    schemata: tuple[str, ...] = optional(STRINGS)
    enableMonitoring: bool = optional(BOOL)


@json_object
class SyscallArg(Model):
    """A comparison of one argument of a system call."""

    index: int = required(UINT32)
    value: int = required(UINT64)
    # The specification's default.
    valueTwo: int = optional(UINT64, 0)
    op: str = required(STRING)


@json_object
class Syscall(Model):
    """One seccomp rule."""

    names: tuple[str, ...] = required(STRINGS)
    action: str = required(STRING)
    errnoRet: int | None = optional(UINT32)
    args: tuple[SyscallArg, ...] = optional(many(SyscallArg))


@json_object
class Seccomp(Model):
    """A system call filter. `defaultAction` is never None after load.decode."""

    # Not `required`: runc takes a seccomp object without action and rules for none at all.
    defaultAction: str = optional(STRING, "")
    defaultErrnoRet: int | None = optional(UINT32)
    architectures: tuple[str, ...] = optional(STRINGS)
    # None and () differ: None takes the default flags.
    flags: tuple[str, ...] | None = optional(STRINGS_OR_NONE)
    listenerPath: str | None = optional(STRING)
    listenerMetadata: str | None = optional(STRING)
    syscalls: tuple[Syscall, ...] = optional(many(Syscall))
    # Whether some call is left to an agent; looked for once, as there may be hundreds of rules.
    notifies: bool = field(init=False)

    def __post_init__(self) -> None:
        self.notifies = any(rule.action == "SCMP_ACT_NOTIFY" for rule in self.syscalls)


@json_object
class Personality(Model):
    """The execution domain, see personality(2)."""

    domain: str = required(STRING)
    flags: tuple[str, ...] = optional(STRINGS)


@json_object
class MemoryPolicy(Model):
    """The NUMA policy, see set_mempolicy(2)."""

    mode: str = required(STRING)
    nodes: str | None = optional(STRING)
    flags: tuple[str, ...] = optional(STRINGS)


@json_object
class Linux(Model):
    """Everything that only Linux has."""

    uidMappings: tuple[IDMapping, ...] = optional(many(IDMapping))
    gidMappings: tuple[IDMapping, ...] = optional(many(IDMapping))
    timeOffsets: dict[str, TimeOffset] = optional(mapping(TimeOffset))
    sysctl: dict[str, str] = optional(STRING_MAP)
    resources: Resources | None = optional(one(Resources))
    cgroupsPath: str | None = optional(STRING)
    namespaces: tuple[Namespace, ...] = optional(many(Namespace))
    devices: tuple[Device, ...] = optional(many(Device))
    netDevices: dict[str, NetDevice] = optional(mapping(NetDevice))
    seccomp: Seccomp | None = optional(one(Seccomp))
    rootfsPropagation: str | None = optional(STRING)
    maskedPaths: tuple[str, ...] = optional(STRINGS)
    readonlyPaths: tuple[str, ...] = optional(STRINGS)
    mountLabel: str | None = optional(STRING)
    intelRdt: IntelRdt | None = optional(one(IntelRdt))
    memoryPolicy: MemoryPolicy | None = optional(one(MemoryPolicy))
    personality: Personality | None = optional(one(Personality))
