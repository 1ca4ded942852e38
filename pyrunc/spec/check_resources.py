# SPDX-License-Identifier: Apache-2.0
"""The rules about `linux.resources`, for `create` and for `update`.

What depends on the cgroup version or on a value that is set already is for cgroups/ to check.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, json_pointer
from pyrunc.spec.model_resources import BlockIO, DeviceRule, HugepageLimit, Memory, Resources

# As for mounts: more than any real configuration has.
MAX_RULES = 4096
MAX_SWAPPINESS = 100
_UNSET = 2**64 - 1  # a -1 of Docker's before 20.10, which means "not set"
MIN_WEIGHT, MAX_WEIGHT = 10, 1000


def check_resources(resources: Resources, base: str, warnings: list[str] | None = None) -> None:
    """Check one resources object.

    Args:
        resources: the decoded object.
        base: its JSON pointer, "" when it is the document.
        warnings: what is odd but not wrong is appended here.

    Raises:
        SpecError: the first broken rule.
    """
    warnings = [] if warnings is None else warnings
    _check_rules(resources.devices, f"{base}/devices", warnings)
    if resources.memory:
        _check_memory(resources.memory, f"{base}/memory")
    cpu = resources.cpu
    if cpu and cpu.idle not in (None, 0, 1):
        raise SpecError(f"must be 0 or 1, not {cpu.idle}", pointer=f"{base}/cpu/idle")
    most = resources.pids.limit if resources.pids else None
    if most is not None and most < -1:
        raise _no_limit(most, f"{base}/pids/limit")
    if resources.blockIO:
        _check_block_io(resources.blockIO, f"{base}/blockIO")
    _check_hugepages(resources.hugepageLimits, f"{base}/hugepageLimits")
    if resources.network:
        for index, entry in enumerate(resources.network.priorities):
            _check_word(entry.name, "interface", f"{base}/network/priorities/{index}/name")
    for device, rdma in resources.rdma.items():
        where = base + json_pointer("rdma", device)
        if rdma.hcaHandles is None and rdma.hcaObjects is None:
            raise SpecError("needs hcaHandles, hcaObjects or both", pointer=where)
        _check_word(device, "RDMA device", where)
    for name in resources.unified:
        _check_unified(name, base + json_pointer("unified", name))


def _no_limit(value: int, pointer: str) -> SpecError:
    return SpecError(f"must not be {value}", pointer=pointer, hint="-1 is no limit")


def _check_rules(rules: tuple[DeviceRule, ...], base: str, warnings: list[str]) -> None:
    if len(rules) > MAX_RULES:
        raise SpecError(f"{len(rules)} rules, at most {MAX_RULES} are allowed", pointer=base)
    for index, rule in enumerate(rules):
        where = f"{base}/{index}"
        if rule.type not in (None, "", "a", "c", "b"):
            raise SpecError(
                f'unknown device type "{rule.type}"', pointer=f"{where}/type", hint="a, c or b"
            )
        for name in ("major", "minor"):
            number = getattr(rule, name)
            if number is not None and not -1 <= number < 1 << 32:
                raise SpecError(
                    f"is not a valid device number: {number}",
                    pointer=f"{where}/{name}",
                    hint="leave it out, or write -1, for all",
                )
        if not rule.access:
            raise SpecError("must not be empty", pointer=f"{where}/access", hint='write "rwm"')
        if others := rule.access.strip("rwm"):
            if not set(rule.access) & set("rwm"):
                raise SpecError(
                    f'"{rule.access}" has none of the letters r, w and m',
                    pointer=f"{where}/access",
                )
            warnings.append(f'{where}/access: "{others}" is ignored, there are only r, w and m')
        if rule.allow is None:
            warnings.append(f"{where}: has no `allow`, which counts as false")


def _check_memory(memory: Memory, base: str) -> None:
    for name in ("limit", "reservation", "swap", "kernel", "kernelTCP"):
        value = getattr(memory, name)
        if value is not None and value < -1:
            raise _no_limit(value, f"{base}/{name}")
    if memory.swappiness == _UNSET:
        memory.swappiness = None
    swappiness = memory.swappiness
    if swappiness is not None and swappiness > MAX_SWAPPINESS:
        raise SpecError(f"must be from 0 to 100, not {swappiness}", pointer=f"{base}/swappiness")


def _check_block_io(block: BlockIO, base: str) -> None:
    _check_weights(block.weight, block.leafWeight, base)
    for index, device in enumerate(block.weightDevice):
        where = f"{base}/weightDevice/{index}"
        _check_numbers(device.major, device.minor, where)
        _check_weights(device.weight, device.leafWeight, where)
        if device.weight is None and device.leafWeight is None:
            raise SpecError("needs weight, leafWeight or both", pointer=where)
    for name in (
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
        "throttleWriteIOPSDevice",
    ):
        for index, throttle in enumerate(getattr(block, name)):
            _check_numbers(throttle.major, throttle.minor, f"{base}/{name}/{index}")


def _check_numbers(major: int, minor: int, base: str) -> None:
    for name, number in (("major", major), ("minor", minor)):
        if not 0 <= number < 1 << 32:
            raise SpecError(f"is not a valid device number: {number}", pointer=f"{base}/{name}")


def _check_weights(weight: int | None, leaf: int | None, base: str) -> None:
    for name, value in (("weight", weight), ("leafWeight", leaf)):
        # 0 is "not set" for every runtime: Go's zero value travels.
        if value and not MIN_WEIGHT <= value <= MAX_WEIGHT:
            raise SpecError(f"must be from 10 to 1000, not {value}", pointer=f"{base}/{name}")


def _check_hugepages(limits: tuple[HugepageLimit, ...], base: str) -> None:
    for index, limit in enumerate(limits):
        size = limit.pageSize
        number = size[:-2]
        # ^[1-9][0-9]*[KMG]B$ (config-linux.md); `re` costs more to import than a mount.
        shaped = size[-2:] in ("KB", "MB", "GB") and number.isascii() and number.isdigit()
        if not shaped or number[0] == "0":
            raise SpecError(
                f'"{size}" is not the size of a huge page',
                pointer=f"{base}/{index}/pageSize",
                hint='write it as "2MB"',
            )


def _check_word(name: str, what: str, pointer: str) -> None:
    """Refuse what would be more, or less, than the first word of a line in a cgroup file."""
    if not name:
        raise SpecError("must not be empty", pointer=pointer)
    if "/" in name or not name.isprintable() or name.split() != [name]:
        raise SpecError(f'"{name}" is not the name of an {what}', pointer=pointer)


def _check_unified(name: str, where: str) -> None:
    if "/" in name:
        raise SpecError(f'"{name}" is not the name of one cgroup file', pointer=where)
    controller, _, parameter = name.partition(".")
    if not controller or not parameter:
        raise SpecError(
            f'"{name}" does not start with a controller', pointer=where, hint='as in "memory.high"'
        )
