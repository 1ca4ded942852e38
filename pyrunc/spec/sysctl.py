# SPDX-License-Identifier: Apache-2.0
"""`linux.sysctl`: what file a key is, and whose."""

from __future__ import annotations

from collections.abc import Container

from pyrunc.errors import SpecError, json_pointer
from pyrunc.spec.names import IPC_SYSCTLS


def sysctl_path(key: str) -> str:
    """The file of a sysctl, relative to /proc/sys: sysctl.d(5) separators.

    Where the first separator is a slash, dots are part of the names; otherwise the two change
    places, so that "net.ipv4.conf.eno2/100.forwarding" and
    "net/ipv4/conf/eno2.100/forwarding" are the same file.

    Args:
        key: the name in either notation.

    Returns:
        The path. Nothing is checked: see `check_sysctls`.
    """
    dot, slash = key.find("."), key.find("/")
    if slash != -1 and (dot == -1 or slash < dot):
        return key
    return key.translate({ord("."): "/", ord("/"): "."})


def check_sysctls(sysctl: dict[str, str], types: Container[str], base: str) -> None:
    """Check that each sysctl can be one of the container's own.

    Args:
        sysctl: `linux.sysctl`.
        types: the container's namespaces.
        base: its JSON pointer.

    Raises:
        SpecError: a name is wrong or given twice, or it would change the host.
    """
    seen: dict[str, str] = {}
    for key in sysctl:
        where = base + json_pointer(key)
        path = sysctl_path(key)
        parts = path.split("/")
        for part in parts:
            # The path is opened below /proc/sys: nothing may lead out, or hide in a log.
            if part in ("", ".", "..") or not part.isprintable():
                raise SpecError(f'"{key}" is not the name of a sysctl', pointer=where)
        if path in seen:
            raise SpecError(f'the same sysctl as "{seen[path]}"', pointer=where)
        seen[path] = key
        _check_sysctl_namespace(parts, types, where)


def _check_sysctl_namespace(parts: list[str], types: Container[str], where: str) -> None:
    name = ".".join(parts)
    if name == "kernel.hostname":
        raise SpecError("cannot be set as a sysctl", pointer=where, hint="set /hostname instead")
    if len(parts) == 1:
        needed = ""
    elif name in IPC_SYSCTLS or parts[:2] == ["fs", "mqueue"]:
        needed = "ipc"
    elif name == "kernel.domainname":
        needed = "uts"
    else:
        needed = {"net": "network", "user": "user"}.get(parts[0], "")
    if not needed:
        raise SpecError(
            f'"{name}" is not in a namespace of its own: it would change the host', pointer=where
        )
    if needed not in types:
        raise SpecError(
            f'"{name}" would change the host: there is no {needed} namespace',
            pointer=where,
            hint=f'add {{"type": "{needed}"}} to /linux/namespaces',
        )
