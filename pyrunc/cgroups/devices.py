# SPDX-License-Identifier: Apache-2.0
"""The device policy of a container, and its enforcement by the v1 devices controller.

runc's callers rely on the default rules: a container can always use null, zero, its terminals
and the like. The v2 enforcement is in device_bpf.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pyrunc.cgroups import device_rules, tree
from pyrunc.cgroups.device_rules import ALL, ANY, MKNOD, Key, Policy
from pyrunc.errors import PyruncError
from pyrunc.kernel.descriptor import Descriptor, opened
from pyrunc.spec.model_resources import DeviceRule

POINTER = "/linux/resources/devices"

# The path of a device that, listed in linux.devices, takes the place of the default one.
DEFAULTS: tuple[tuple[str, Key, int], ...] = (
    ("", ("c", ANY, ANY), MKNOD),
    ("", ("b", ANY, ANY), MKNOD),
    ("/dev/null", ("c", 1, 3), ALL),
    ("/dev/random", ("c", 1, 8), ALL),
    ("/dev/full", ("c", 1, 7), ALL),
    ("/dev/tty", ("c", 5, 0), ALL),
    ("/dev/zero", ("c", 1, 5), ALL),
    ("/dev/urandom", ("c", 1, 9), ALL),
    ("", ("c", 136, ANY), ALL),  # pseudo terminals
    ("", ("c", 5, 2), ALL),  # ptmx
    ("", ("c", 10, 200), ALL),  # tun
)


def policy(rules: Sequence[DeviceRule], own_devices: Sequence[str] = ()) -> Policy:
    """The container's policy: its rules, then the default ones, which cannot be denied.

    Args:
        rules: linux.resources.devices.
        own_devices: paths in linux.devices.

    Raises:
        SpecError: the rules cannot be expressed.
    """
    result = device_rules.build(rules)
    for path, key, access in DEFAULTS:
        if path and path in own_devices:
            continue
        if not result.change(True, key, access):
            # Only with "allow all" and a rule that denies more devices than this one.
            raise PyruncError(
                f"the rules deny {_line(key, access)}, which every container is allowed, "
                "with a wildcard",
                pointer=POINTER,
                hint="deny single devices, or start from deny-all",
            )
    return result


def parse_list(text: str) -> Policy:
    """The policy in a devices.list.

    An "allow all" list does not show what is excepted from it.

    Args:
        text: the file's lines.

    Raises:
        ValueError: not a devices.list.
    """
    found = Policy()
    for line in text.splitlines():
        kind, numbers, access = line.split()
        if kind == "a":
            found.reset(True)
            continue
        major, minor = (ANY if n == "*" else int(n) for n in numbers.split(":"))
        found.exceptions[(kind, major, minor)] = device_rules.bits(access)
    return found


def transition(current: Policy, target: Policy) -> list[tuple[str, str]]:
    """The writes that lead from one policy to another.

    Args:
        current: what devices.list shows.
        target: what it has to become.

    Returns:
        (file, line) in writing order. Between two "deny all" policies nothing that both
        allow is ever denied, because processes may be using it.
    """
    add, remove = ("allow", "deny") if not target.default_allow else ("deny", "allow")
    writes: list[tuple[str, str]] = []
    known = current.exceptions
    # "Allow all" hides its exceptions, so it is always started afresh.
    if target.default_allow or current.default_allow:
        writes.append((f"devices.{remove}", "a"))
        known = {}
    for key, access in target.exceptions.items():
        more = access & ~known.get(key, 0)
        if more:
            writes.append((f"devices.{add}", _line(key, more)))
    for key, access in known.items():
        less = access & ~target.exceptions.get(key, 0)
        if less:
            writes.append((f"devices.{remove}", _line(key, less)))
    return writes


def enforce_v1(directory: int, path: str, target: Policy) -> None:
    """Make a v1 devices cgroup enforce a policy, and see that it does.

    Args:
        directory: descriptor of the cgroup.
        path: its path, for messages.
        target: the policy.

    Raises:
        CgroupError: the kernel refuses a rule; a parent that does not allow it is EPERM.
        PyruncError: devices.list shows another policy afterwards.
    """
    current = _current(directory, path)
    if current == target and not target.default_allow:
        return
    _write(directory, path, transition(current, target))
    shown = Policy(True) if target.default_allow else target
    if _current(directory, path) != shown:
        raise PyruncError(
            f"{path}/devices.list does not show the rules that were written", pointer=POINTER
        )


def _write(directory: int, path: str, writes: list[tuple[str, str]]) -> None:
    # One descriptor per file for a dozen lines: opening costs more than writing.
    files: dict[str, Descriptor] = {}
    for name, line in writes:
        try:
            if name not in files:
                files[name] = opened(name, tree.WRITE, dir_fd=directory)
            os.write(files[name].fileno(), line.encode())
        except OSError as error:
            step, where = f'write "{line}" to', f"{path}/{name}"
            raise tree.failure(step, "write", error, where, POINTER) from error


def _current(directory: int, path: str) -> Policy:
    try:
        return parse_list(tree.read(directory, "devices.list"))
    except OSError as error:
        raise tree.failure("read", "read", error, f"{path}/devices.list", POINTER) from error


def _line(key: Key, access: int) -> str:
    kind, major, minor = key
    numbers = ":".join("*" if n == ANY else str(n) for n in (major, minor))
    return f"{kind} {numbers} {device_rules.letters(access)}"
