# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: network devices of the host move into the container.

Loaded only by who asks for it: pyroute2 costs 108 ms. A device is never
moved back; when the namespace ends the kernel returns the physical ones.
"""

from __future__ import annotations

import _signal
import errno
import os

from pyrunc.errors import KernelError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.model_linux import NetDevice

# <linux/if_addr.h>: not one of those that the kernel, or a lease, gives and takes.
_PERMANENT = 0x80
_SCOPE_UNIVERSE = 0


def move_devices(devices: dict[str, NetDevice], pid: int) -> None:
    """Move devices into a process's network namespace, with their addresses, and up.

    Args:
        devices: linux.netDevices: the name here, and the name there.
        pid: the process, which waits meanwhile.

    Raises:
        KernelError: the kernel refuses.
        PyruncError: there is no such device, or pyroute2 is not installed.
    """
    try:
        from pyroute2 import IPRoute, NetNS
        from pyroute2.netlink.exceptions import NetlinkError
    except ImportError:
        raise PyruncError(
            "moving network devices needs pyroute2",
            pointer="/linux/netDevices",
            hint="pip install pyroute2",
        ) from None
    # It enters the namespace in a fork of ours, which it ends by SIGTERM: that is no signal to us.
    os.register_at_fork(after_in_child=_forget_signals)
    path = f"/proc/{pid}/ns/net"
    with IPRoute() as host, NetNS(path, flags=0) as inside:
        for name, device in devices.items():
            pointer = "/linux/netDevices/" + name.replace("~", "~0").replace("/", "~1")
            try:
                _move(host, inside, name, device.name or name, path, pointer)
            except NetlinkError as error:
                raise KernelError(
                    "move network device", "netlink", error.code or errno.EIO, name, pointer=pointer
                ) from None


def _move(host: Any, inside: Any, name: str, new_name: str, path: str, pointer: str) -> None:
    found = host.link_lookup(ifname=name)
    if not found:
        raise PyruncError(f'there is no network device "{name}"', pointer=pointer)
    index = found[0]
    kept = [row for row in host.get_addr(index=index) if _is_kept(row)]
    links = inside.get_links()
    before = {link["index"] for link in links}
    if new_name in {link.get_attr("IFLA_IFNAME") for link in links}:
        # The kernel would move it first and fail to rename it then, and it would end there.
        raise KernelError(
            "move network device", "netlink", errno.EEXIST, name, pointer=pointer + "/name"
        )
    # Down first: the kernel renames no device that is up.
    host.link("set", index=index, state="down")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # In one request: no moment at which the old name is taken in the new namespace.
        host.link("set", index=index, net_ns_fd=fd, ifname=new_name)
    finally:
        os.close(fd)
    # By what is new there, not by the name: "eth%d" has become another one.
    (there,) = {link["index"] for link in inside.get_links()} - before
    for row in kept:
        broadcast = row.get_attr("IFA_BROADCAST")
        inside.addr(
            "add",
            index=there,
            address=row.get_attr("IFA_LOCAL") or row.get_attr("IFA_ADDRESS"),
            prefixlen=row["prefixlen"],
            family=row["family"],
            **({"broadcast": broadcast} if broadcast else {}),
        )
    inside.link("set", index=there, state="up")


def _forget_signals() -> None:
    try:
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    except ValueError:
        pass  # forked by a thread, which catches none


def _is_kept(row: Any) -> bool:
    flags = row.get_attr("IFA_FLAGS")
    if flags is None:
        flags = row["flags"]
    return bool(flags & _PERMANENT) and row["scope"] == _SCOPE_UNIVERSE
