# SPDX-License-Identifier: Apache-2.0
"""The rules about `linux`: namespaces, id maps, sysctls, devices, paths and the rest.

Resources and seccomp have files of their own. Whether a namespace file exists, or is the
host's own, needs a kernel and is not checked here.
"""

from __future__ import annotations

from itertools import pairwise

from pyrunc.errors import SpecError, json_pointer
from pyrunc.spec.check_resources import check_resources
from pyrunc.spec.check_seccomp import check_seccomp
from pyrunc.spec.model_linux import (
    Device,
    IDMapping,
    IntelRdt,
    Linux,
    MemoryPolicy,
    Namespace,
    NetDevice,
    Personality,
)
from pyrunc.spec.names import (
    MEMORY_FLAGS,
    MEMORY_MODES,
    NAMESPACES,
    PERSONALITY_DOMAINS,
    PROPAGATIONS,
)
from pyrunc.spec.sysctl import check_sysctls

# What a kernel since 4.15 takes in one uid_map.
MAX_MAPPINGS = 340
# As for mounts: more than any real configuration has.
MAX_DEVICES = 4096
MAX_PATHS = 4096
_ID_END = (1 << 32) - 1

_LONGEST_DEVICE_NAME = 15  # IFNAMSIZ, without the NUL


def check_linux(linux: Linux, base: str, warnings: list[str]) -> None:
    """Check everything under `linux`.

    Args:
        linux: the decoded object.
        base: its JSON pointer.
        warnings: what is odd but not wrong is appended here.

    Raises:
        SpecError: the first broken rule.
    """
    types = _check_namespaces(linux.namespaces, f"{base}/namespaces")
    _check_user_namespace(linux, types, base, warnings)
    _check_time_offsets(linux, types, base)
    if linux.sysctl:
        check_sysctls(linux.sysctl, types, f"{base}/sysctl")
    _check_devices(linux.devices, f"{base}/devices")
    for name in ("maskedPaths", "readonlyPaths"):
        _check_paths(linux, name, "mount" in types, f"{base}/{name}", warnings)
    propagation = linux.rootfsPropagation
    if propagation and propagation not in PROPAGATIONS:
        raise SpecError(
            f'unknown propagation "{propagation}"',
            pointer=f"{base}/rootfsPropagation",
            hint=f"one of {', '.join(PROPAGATIONS)}",
        )
    if linux.resources:
        check_resources(linux.resources, f"{base}/resources", warnings)
    if linux.seccomp:
        check_seccomp(linux.seccomp, f"{base}/seccomp", warnings)
    if linux.personality:
        _check_personality(linux.personality, f"{base}/personality", warnings)
    if linux.memoryPolicy:
        _check_memory_policy(linux.memoryPolicy, f"{base}/memoryPolicy")
    _check_net_devices(linux.netDevices, "network" in types, f"{base}/netDevices")
    if linux.intelRdt:
        _check_intel_rdt(linux.intelRdt, f"{base}/intelRdt")


def _check_namespaces(namespaces: tuple[Namespace, ...], base: str) -> dict[str, Namespace]:
    types: dict[str, Namespace] = {}
    for index, namespace in enumerate(namespaces):
        where = f"{base}/{index}"
        if namespace.type not in NAMESPACES:
            raise SpecError(
                f'unknown namespace type "{namespace.type}"',
                pointer=f"{where}/type",
                hint=f"one of {', '.join(NAMESPACES)}",
            )
        if namespace.type in types:
            raise SpecError(
                f'the namespace "{namespace.type}" is listed twice', pointer=f"{where}/type"
            )
        if namespace.path and namespace.path[0] != "/":
            raise SpecError(
                f'must be an absolute path, not "{namespace.path}"', pointer=f"{where}/path"
            )
        types[namespace.type] = namespace
    return types


def _check_user_namespace(
    linux: Linux, types: dict[str, Namespace], base: str, warnings: list[str]
) -> None:
    user = types.get("user")
    for name in ("uidMappings", "gidMappings"):
        mappings = getattr(linux, name)
        if mappings and user is None:
            warnings.append(
                f"{base}/{name}: ignored, there is no user namespace to set them on"
                ' (add {"type": "user"} to /linux/namespaces)'
            )
            setattr(linux, name, ())
            continue
        if not mappings and user is not None and not user.path:
            raise SpecError(
                f"a new user namespace needs {name}",
                pointer=f"{base}/{name}",
                hint="or give the namespace a path to join",
            )
        check_mappings(mappings, f"{base}/{name}")


def check_mappings(mappings: tuple[IDMapping, ...], base: str) -> None:
    """Check one id map against the kernel's rules: user_namespaces(7).

    Args:
        mappings: the ranges.
        base: their JSON pointer.

    Raises:
        SpecError: a range is empty, too long or overlaps another, or there are too many.
    """
    if len(mappings) > MAX_MAPPINGS:
        raise SpecError(
            f"{len(mappings)} ranges, the kernel takes {MAX_MAPPINGS} at most", pointer=base
        )
    for index, mapping in enumerate(mappings):
        where = f"{base}/{index}"
        if mapping.size == 0:
            raise SpecError("must be at least 1", pointer=f"{where}/size")
        for name in ("containerID", "hostID"):
            first = getattr(mapping, name)
            if first + mapping.size > _ID_END:
                raise SpecError(
                    f"{mapping.size} ids from {name} {first} on end above {_ID_END - 1},"
                    " the largest id",
                    pointer=f"{where}/size",
                )
    for name in ("containerID", "hostID"):
        order = sorted(range(len(mappings)), key=lambda place: getattr(mappings[place], name))
        for place, following in pairwise(order):
            end = getattr(mappings[place], name) + mappings[place].size
            if getattr(mappings[following], name) < end:
                raise SpecError(
                    f"this range overlaps the range {base}/{place}",
                    pointer=f"{base}/{following}/{name}",
                )


def _check_time_offsets(linux: Linux, types: dict[str, Namespace], base: str) -> None:
    if not linux.timeOffsets:
        return
    time = types.get("time")
    if time is None or time.path:
        why = "there is no time namespace" if time is None else "the time namespace is joined"
        raise SpecError(
            f"time offsets can only be set on a new time namespace: {why}",
            pointer=f"{base}/timeOffsets",
        )
    for clock, offset in linux.timeOffsets.items():
        where = base + json_pointer("timeOffsets", clock)
        if clock not in ("monotonic", "boottime"):
            raise SpecError(f'unknown clock "{clock}"', pointer=where, hint="monotonic or boottime")
        if offset.nanosecs >= 10**9:
            raise SpecError(
                f"must be less than 1000000000, not {offset.nanosecs}", pointer=f"{where}/nanosecs"
            )


# --- devices and paths --------------------------------------------------------------------


def _check_devices(devices: tuple[Device, ...], base: str) -> None:
    if len(devices) > MAX_DEVICES:
        raise SpecError(f"{len(devices)} devices, at most {MAX_DEVICES} are allowed", pointer=base)
    for index, device in enumerate(devices):
        where = f"{base}/{index}"
        if device.type not in ("c", "u", "b", "p"):
            raise SpecError(
                f'unknown device type "{device.type}"',
                pointer=f"{where}/type",
                hint="c, u, b or p",
            )
        if device.path[:1] != "/":
            raise SpecError(
                f'must be an absolute path, not "{device.path}"', pointer=f"{where}/path"
            )
        if device.type == "p":
            continue
        for name in ("major", "minor"):
            number = getattr(device, name)
            if number is None:
                raise SpecError(
                    f'is required for a device of type "{device.type}"', pointer=f"{where}/{name}"
                )
            if not 0 <= number < 1 << 32:
                raise SpecError(
                    f"is not a valid device number: {number}", pointer=f"{where}/{name}"
                )


def _check_paths(linux: Linux, name: str, own_mounts: bool, base: str, warnings: list[str]) -> None:
    paths: tuple[str, ...] = getattr(linux, name)
    if not paths:
        return
    if not own_mounts:
        raise SpecError(
            "the host's paths would change: there is no mount namespace",
            pointer=base,
            hint='add {"type": "mount"} to /linux/namespaces',
        )
    if len(paths) > MAX_PATHS:
        raise SpecError(f"{len(paths)} paths, at most {MAX_PATHS} are allowed", pointer=base)
    for index, path in enumerate(paths):
        if path[:1] != "/":
            # As runc: relative to its directory then, which is the container's root.
            what = f'"{path}" is relative; it is taken relative to /' if path else '"" is ignored'
            warnings.append(f"{base}/{index}: {what}")
    if not all(path[:1] == "/" for path in paths):
        whole = tuple(path if path[0] == "/" else f"/{path}" for path in paths if path)
        setattr(linux, name, whole)


# --- the rest -----------------------------------------------------------------------------


def _check_net_devices(devices: dict[str, NetDevice], has_network: bool, base: str) -> None:
    if devices and not has_network:
        raise SpecError(
            "there is no network namespace to move devices to",
            pointer=base,
            hint='add {"type": "network"} to /linux/namespaces',
        )
    for name, device in devices.items():
        where = base + json_pointer(name)
        for one, pointer in ((name, where), (device.name, f"{where}/name")):
            if one is None:
                continue
            # As dev_valid_name() of the kernel has it.
            bad = one in ("", ".", "..") or len(one.encode()) > _LONGEST_DEVICE_NAME
            if bad or any(letter in "/:" or letter.isspace() for letter in one):
                raise SpecError(f'"{one}" is not a valid name of a network device', pointer=pointer)


def _check_personality(personality: Personality, base: str, warnings: list[str]) -> None:
    if personality.domain not in PERSONALITY_DOMAINS:
        raise SpecError(
            f'unknown execution domain "{personality.domain}"',
            pointer=f"{base}/domain",
            hint="LINUX or LINUX32",
        )
    if personality.flags:
        warnings.append(f"{base}/flags: the specification defines no flags; ignored")


def _check_memory_policy(policy: MemoryPolicy, base: str) -> None:
    mode = policy.mode
    if mode not in MEMORY_MODES:
        raise SpecError(f'unknown memory policy "{mode}"', pointer=f"{base}/mode")
    for index, flag in enumerate(policy.flags):
        if flag not in MEMORY_FLAGS:
            raise SpecError(f'unknown memory policy flag "{flag}"', pointer=f"{base}/flags/{index}")
    if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") and policy.nodes:
        raise SpecError(f"{mode} takes no nodes", pointer=f"{base}/nodes")
    if mode not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED") and not policy.nodes:
        raise SpecError(f"{mode} needs at least one node", pointer=f"{base}/nodes")


def _check_intel_rdt(rdt: IntelRdt, base: str) -> None:
    name = rdt.closID
    if name in (".", "..") or (name and name != "/" and "/" in name):
        raise SpecError(f'"{name}" is not the name of one directory', pointer=f"{base}/closID")
    lines = [("l3CacheSchema", rdt.l3CacheSchema or ""), ("memBwSchema", rdt.memBwSchema or "")]
    lines += [(f"schemata/{index}", line) for index, line in enumerate(rdt.schemata)]
    for where, line in lines:
        if "\n" in line:
            raise SpecError("must be one line", pointer=f"{base}/{where}")
    if rdt.memBwSchema and not rdt.memBwSchema.startswith("MB:"):
        raise SpecError('must start with "MB:"', pointer=f"{base}/memBwSchema")
