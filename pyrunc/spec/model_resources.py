# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: `linux.resources`.

Same conventions and the same limits as model.py. Numbers of memory and cpu stay None when
absent: zero means something there, and `update` leaves what is None alone.
"""

# The names are the specification's (N815); the tables are constants, and a ClassVar on each
# would hide them (RUF012).
# ruff: noqa: N815, RUF012

from __future__ import annotations

from pyrunc.spec.fields import (
    BOOL,
    BOOL_OR_NONE,
    INT64,
    STRING,
    STRING_MAP_OR_NULL,
    UINT16,
    UINT32,
    UINT64,
    Model,
    many,
    mapping,
    one,
    required,
)


class DeviceRule(Model):
    """One rule of the device allow list."""

    allow: bool | None
    type: str | None
    major: int | None
    minor: int | None
    access: str | None

    FIELDS = {
        "allow": BOOL_OR_NONE,
        "type": STRING,
        "major": INT64,
        "minor": INT64,
        "access": STRING,
    }


class Memory(Model):
    """Memory limits in bytes; -1 is no limit."""

    limit: int | None
    reservation: int | None
    swap: int | None
    kernel: int | None
    kernelTCP: int | None
    swappiness: int | None
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool

    FIELDS = {
        "limit": INT64,
        "reservation": INT64,
        "swap": INT64,
        "kernel": INT64,
        "kernelTCP": INT64,
        "swappiness": UINT64,
        "disableOOMKiller": BOOL,
        "useHierarchy": BOOL,
        "checkBeforeUpdate": BOOL,
    }


class CPU(Model):
    """Processor time and placement."""

    shares: int | None
    quota: int | None
    burst: int | None
    period: int | None
    realtimeRuntime: int | None
    realtimePeriod: int | None
    cpus: str | None
    mems: str | None
    idle: int | None

    FIELDS = {
        "shares": UINT64,
        "quota": INT64,
        "burst": UINT64,
        "period": UINT64,
        "realtimeRuntime": INT64,
        "realtimePeriod": UINT64,
        "cpus": STRING,
        "mems": STRING,
        "idle": INT64,
    }


class Pids(Model):
    """How many tasks; -1 is no limit."""

    limit: int | None

    FIELDS = {"limit": INT64}  # OPTIONAL since 1.3.0


class WeightDevice(Model):
    """The I/O weight of one block device."""

    major: int
    minor: int
    weight: int | None
    leafWeight: int | None

    FIELDS = {
        "major": required(INT64),
        "minor": required(INT64),
        "weight": UINT16,
        "leafWeight": UINT16,
    }


class ThrottleDevice(Model):
    """The I/O rate of one block device."""

    major: int
    minor: int
    rate: int

    FIELDS = {"major": required(INT64), "minor": required(INT64), "rate": required(UINT64)}


class BlockIO(Model):
    """Weights and rates of block I/O."""

    weight: int | None
    leafWeight: int | None
    weightDevice: tuple[WeightDevice, ...]
    throttleReadBpsDevice: tuple[ThrottleDevice, ...]
    throttleWriteBpsDevice: tuple[ThrottleDevice, ...]
    throttleReadIOPSDevice: tuple[ThrottleDevice, ...]
    throttleWriteIOPSDevice: tuple[ThrottleDevice, ...]

    FIELDS = {
        "weight": UINT16,
        "leafWeight": UINT16,
        "weightDevice": many(WeightDevice),
        "throttleReadBpsDevice": many(ThrottleDevice),
        "throttleWriteBpsDevice": many(ThrottleDevice),
        "throttleReadIOPSDevice": many(ThrottleDevice),
        "throttleWriteIOPSDevice": many(ThrottleDevice),
    }


class HugepageLimit(Model):
    """How many bytes of one size of huge pages."""

    pageSize: str
    limit: int

    FIELDS = {"pageSize": required(STRING), "limit": required(UINT64)}


class InterfacePriority(Model):
    """The priority of one network interface."""

    name: str
    priority: int

    FIELDS = {"name": required(STRING), "priority": required(UINT32)}


class Network(Model):
    """Network classes and priorities (cgroup v1)."""

    classID: int | None
    priorities: tuple[InterfacePriority, ...]

    FIELDS = {"classID": UINT32, "priorities": many(InterfacePriority)}


class Rdma(Model):
    """Limits on one RDMA device."""

    hcaHandles: int | None
    hcaObjects: int | None

    FIELDS = {"hcaHandles": UINT32, "hcaObjects": UINT32}


class Resources(Model):
    """What the container's cgroup limits."""

    devices: tuple[DeviceRule, ...]
    memory: Memory | None
    cpu: CPU | None
    pids: Pids | None
    blockIO: BlockIO | None
    hugepageLimits: tuple[HugepageLimit, ...]
    network: Network | None
    rdma: dict[str, Rdma]
    unified: dict[str, str]

    FIELDS = {
        "devices": many(DeviceRule),
        "memory": one(Memory),
        "cpu": one(CPU),
        "pids": one(Pids),
        "blockIO": one(BlockIO),
        "hugepageLimits": many(HugepageLimit),
        "network": one(Network),
        "rdma": mapping(Rdma),
        "unified": STRING_MAP_OR_NULL,
    }
