# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: `linux`, without its resources.

Same conventions and the same limits as model.py.
"""

# The names are the specification's (N815); the tables are constants, and a ClassVar on each
# would hide them (RUF012).
# ruff: noqa: N815, RUF012

from __future__ import annotations

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
    default,
    many,
    mapping,
    one,
    required,
)
from pyrunc.spec.model_resources import Resources


class Namespace(Model):
    """One namespace: new, or the one at `path`."""

    type: str
    path: str | None

    FIELDS = {"type": required(STRING), "path": STRING}


class IDMapping(Model):
    """One range of user or group ids."""

    containerID: int
    hostID: int
    size: int

    FIELDS = {
        "containerID": required(UINT32),
        "hostID": required(UINT32),
        "size": required(UINT32),
    }


class TimeOffset(Model):
    """How far one clock of the time namespace is ahead."""

    secs: int
    nanosecs: int

    FIELDS = {"secs": default(INT64, 0), "nanosecs": default(UINT32, 0)}


class Device(Model):
    """One device node to make."""

    type: str
    path: str
    major: int | None
    minor: int | None
    fileMode: int | None
    uid: int | None
    gid: int | None

    FIELDS = {
        "type": required(STRING),
        "path": required(STRING),
        "major": INT64,
        "minor": INT64,
        "fileMode": UINT32,
        "uid": UINT32,
        "gid": UINT32,
    }


class NetDevice(Model):
    """A network device to move in, and its new name."""

    name: str | None

    FIELDS = {"name": STRING}


class IntelRdt(Model):
    """Cache and memory bandwidth allocation through resctrl."""

    closID: str | None
    l3CacheSchema: str | None
    memBwSchema: str | None
    schemata: tuple[str, ...]
    enableMonitoring: bool

    FIELDS = {
        "closID": STRING,
        "l3CacheSchema": STRING,
        "memBwSchema": STRING,
        "schemata": STRINGS,
        "enableMonitoring": BOOL,
    }


class SyscallArg(Model):
    """A comparison of one argument of a system call."""

    index: int
    value: int
    valueTwo: int
    op: str

    FIELDS = {
        "index": required(UINT32),
        "value": required(UINT64),
        # The specification's default, so that nobody has to repeat it.
        "valueTwo": default(UINT64, 0),
        "op": required(STRING),
    }


class Syscall(Model):
    """One seccomp rule."""

    names: tuple[str, ...]
    action: str
    errnoRet: int | None
    args: tuple[SyscallArg, ...]

    FIELDS = {
        "names": required(STRINGS),
        "action": required(STRING),
        "errnoRet": UINT32,
        "args": many(SyscallArg),
    }


class Seccomp(Model):
    """A system call filter. `defaultAction` is never None after load.decode."""

    defaultAction: str
    defaultErrnoRet: int | None
    architectures: tuple[str, ...]
    flags: tuple[str, ...] | None
    listenerPath: str | None
    listenerMetadata: str | None
    syscalls: tuple[Syscall, ...]

    FIELDS = {
        # Not `required`: runc takes a seccomp object without action and rules for none at all.
        "defaultAction": default(STRING, ""),
        "defaultErrnoRet": UINT32,
        "architectures": STRINGS,
        # None and () differ: None takes the default flags.
        "flags": STRINGS_OR_NONE,
        "listenerPath": STRING,
        "listenerMetadata": STRING,
        "syscalls": many(Syscall),
    }

    @property
    def notifies(self) -> bool:
        """Whether some call is left to an agent."""
        return any(syscall.action == "SCMP_ACT_NOTIFY" for syscall in self.syscalls)


class Personality(Model):
    """The execution domain, see personality(2)."""

    domain: str
    flags: tuple[str, ...]

    FIELDS = {"domain": required(STRING), "flags": STRINGS}


class MemoryPolicy(Model):
    """The NUMA policy, see set_mempolicy(2)."""

    mode: str
    nodes: str | None
    flags: tuple[str, ...]

    FIELDS = {"mode": required(STRING), "nodes": STRING, "flags": STRINGS}


class Linux(Model):
    """Everything that only Linux has."""

    uidMappings: tuple[IDMapping, ...]
    gidMappings: tuple[IDMapping, ...]
    timeOffsets: dict[str, TimeOffset]
    sysctl: dict[str, str]
    resources: Resources | None
    cgroupsPath: str | None
    namespaces: tuple[Namespace, ...]
    devices: tuple[Device, ...]
    netDevices: dict[str, NetDevice]
    seccomp: Seccomp | None
    rootfsPropagation: str | None
    maskedPaths: tuple[str, ...]
    readonlyPaths: tuple[str, ...]
    mountLabel: str | None
    intelRdt: IntelRdt | None
    memoryPolicy: MemoryPolicy | None
    personality: Personality | None

    FIELDS = {
        "uidMappings": many(IDMapping),
        "gidMappings": many(IDMapping),
        "timeOffsets": mapping(TimeOffset),
        "sysctl": STRING_MAP,
        "resources": one(Resources),
        "cgroupsPath": STRING,
        "namespaces": many(Namespace),
        "devices": many(Device),
        "netDevices": mapping(NetDevice),
        "seccomp": one(Seccomp),
        "rootfsPropagation": STRING,
        "maskedPaths": STRINGS,
        "readonlyPaths": STRINGS,
        "mountLabel": STRING,
        "intelRdt": one(IntelRdt),
        "memoryPolicy": one(MemoryPolicy),
        "personality": one(Personality),
    }
