# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: `linux.resources`.

Same conventions and the same limits as model.py. Numbers of memory and cpu stay None when
absent: zero means something there, and `update` leaves what is None alone.
"""

# The names are the specification's.
# ruff: noqa: N815

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
    json_object,
    many,
    mapping,
    one,
    optional,
    required,
)


@json_object
class DeviceRule(Model):
    """One rule of the device allow list."""

    allow: bool | None = optional(BOOL_OR_NONE)
    type: str | None = optional(STRING)
    major: int | None = optional(INT64)
    minor: int | None = optional(INT64)
    access: str | None = optional(STRING)


@json_object
class Memory(Model):
    """Memory limits in bytes; -1 is no limit."""

    limit: int | None = optional(INT64)
    reservation: int | None = optional(INT64)
    swap: int | None = optional(INT64)
    kernel: int | None = optional(INT64)
    kernelTCP: int | None = optional(INT64)
    swappiness: int | None = optional(UINT64)
    disableOOMKiller: bool = optional(BOOL)
    useHierarchy: bool = optional(BOOL)
    checkBeforeUpdate: bool = optional(BOOL)


@json_object
class CPU(Model):
    """Processor time and placement."""

    shares: int | None = optional(UINT64)
    quota: int | None = optional(INT64)
    burst: int | None = optional(UINT64)
    period: int | None = optional(UINT64)
    realtimeRuntime: int | None = optional(INT64)
    realtimePeriod: int | None = optional(UINT64)
    cpus: str | None = optional(STRING)
    mems: str | None = optional(STRING)
    idle: int | None = optional(INT64)


@json_object
class Pids(Model):
    """How many tasks; -1 is no limit."""

    # OPTIONAL since 1.3.0
    limit: int | None = optional(INT64)


@json_object
class WeightDevice(Model):
    """The I/O weight of one block device."""

    major: int = required(INT64)
    minor: int = required(INT64)
    weight: int | None = optional(UINT16)
    leafWeight: int | None = optional(UINT16)


@json_object
class ThrottleDevice(Model):
    """The I/O rate of one block device."""

    major: int = required(INT64)
    minor: int = required(INT64)
    rate: int = required(UINT64)


@json_object
class BlockIO(Model):
    """Weights and rates of block I/O."""

    weight: int | None = optional(UINT16)
    leafWeight: int | None = optional(UINT16)
    weightDevice: tuple[WeightDevice, ...] = optional(many(WeightDevice))
    throttleReadBpsDevice: tuple[ThrottleDevice, ...] = optional(many(ThrottleDevice))
    throttleWriteBpsDevice: tuple[ThrottleDevice, ...] = optional(many(ThrottleDevice))
    throttleReadIOPSDevice: tuple[ThrottleDevice, ...] = optional(many(ThrottleDevice))
    throttleWriteIOPSDevice: tuple[ThrottleDevice, ...] = optional(many(ThrottleDevice))


@json_object
class HugepageLimit(Model):
    """How many bytes of one size of huge pages."""

    pageSize: str = required(STRING)
    limit: int = required(UINT64)


@json_object
class InterfacePriority(Model):
    """The priority of one network interface."""

    name: str = required(STRING)
    priority: int = required(UINT32)


@json_object
class Network(Model):
    """Network classes and priorities (cgroup v1)."""

    classID: int | None = optional(UINT32)
    priorities: tuple[InterfacePriority, ...] = optional(many(InterfacePriority))


@json_object
class Rdma(Model):
    """Limits on one RDMA device."""

    hcaHandles: int | None = optional(UINT32)
    hcaObjects: int | None = optional(UINT32)


@json_object
class Resources(Model):
    """What the container's cgroup limits."""

    devices: tuple[DeviceRule, ...] = optional(many(DeviceRule))
    memory: Memory | None = optional(one(Memory))
    cpu: CPU | None = optional(one(CPU))
    pids: Pids | None = optional(one(Pids))
    blockIO: BlockIO | None = optional(one(BlockIO))
    hugepageLimits: tuple[HugepageLimit, ...] = optional(many(HugepageLimit))
    network: Network | None = optional(one(Network))
    rdma: dict[str, Rdma] = optional(mapping(Rdma))
    unified: dict[str, str] = optional(STRING_MAP_OR_NULL)
