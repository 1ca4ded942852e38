# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: network devices of the host move into the container.

A device is never moved back; when the namespace ends the kernel returns the physical ones.
"""

from __future__ import annotations

import errno
from contextlib import ExitStack

from pyrunc.errors import KernelError, PyruncError, json_pointer, reported
from pyrunc.kernel.descriptor import opened
from pyrunc.kernel.netlink import Netlink
from pyrunc.spec.model_linux import NetDevice


def move_devices(devices: dict[str, NetDevice], pid: int) -> None:
    """Move devices into a process's network namespace, with their addresses, and up.

    Args:
        devices: linux.netDevices: name on the host -> device in the container.
        pid: the process, which waits for this.

    Raises:
        KernelError: the kernel refuses.
        PyruncError: there is no such device.
    """
    connection = _connection()
    with ExitStack() as held:
        path = f"/proc/{pid}/ns/net"
        with reported("open namespace", "open", path):
            namespace = held.enter_context(opened(path)).fileno()
        with reported("talk to rtnetlink", "socket"):
            host, inside = (held.enter_context(connection(fd)) for fd in (-1, namespace))
        for name, device in devices.items():
            pointer = json_pointer("linux", "netDevices", name)
            with reported("move network device", "netlink", name, pointer=pointer):
                _move(host, inside, name, device.name or name, namespace, pointer)


def _connection() -> type[Netlink]:
    """pyroute2's, or without it, as in the executable (docs/static.md), our own."""
    try:
        from pyrunc.kernel.pyroute import Netlink as ByPyroute  # noqa: PLC0415
    except ImportError:
        from pyrunc.kernel.netlink import Netlink  # noqa: PLC0415

        return Netlink
    return ByPyroute  # type: ignore[return-value]  # the same methods


def _move(
    host: Netlink, inside: Netlink, name: str, new_name: str, namespace: int, pointer: str
) -> None:
    index = host.links().get(name)
    if index is None:
        raise PyruncError(f'there is no network device "{name}"', pointer=pointer)
    kept = [address for address in host.addresses(index) if address.permanent]
    links = inside.links()
    if new_name in links:
        # The kernel would move it first and then fail to rename it, and it would stay there.
        raise KernelError(
            "move network device", "netlink", errno.EEXIST, name, pointer=pointer + "/name"
        )
    was_up = host.is_up(index)
    # Down first: the kernel does not rename a device that is up.
    host.set_up(index, False)
    try:
        host.move(index, namespace, new_name)
    except BaseException:
        # Where only the new name was refused it is there already, and goes with the namespace.
        if was_up and index in host.links().values():
            host.set_up(index, True)
        raise
    # By what is new there, not by its name: "eth%d" becomes another one.
    (there,) = set(inside.links().values()) - set(links.values())
    for address in kept:
        inside.add_address(there, address)
    inside.set_up(there, True)
