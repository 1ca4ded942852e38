# SPDX-License-Identifier: Apache-2.0
"""`kernel.netlink` by pyroute2. Its import fails where there is none: the executable cannot have
it inside, since it loads C libraries by their names.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute, NetNS
from pyroute2.netlink.exceptions import NetlinkError

_PERMANENT = 0x80  # <linux/if_addr.h>
_UNIVERSE = 0


@dataclass(slots=True)
class Address:
    """One address of a device, as pyroute2 has it."""

    row: Any

    @property
    def permanent(self) -> bool:
        """As `netlink.Address.permanent`."""
        flags = self.row.get_attr("IFA_FLAGS")
        flags = self.row["flags"] if flags is None else flags
        return bool(flags & _PERMANENT) and self.row["scope"] == _UNIVERSE


class Netlink:
    """As `netlink.Netlink`, method by method."""

    def __init__(self, namespace: int = -1) -> None:
        # It enters the namespace in a fork of ours.
        path = f"/proc/{os.getpid()}/fd/{namespace}"
        self._socket: Any = IPRoute() if namespace < 0 else NetNS(path, flags=0)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def links(self) -> dict[str, int]:
        with _as_os_error():
            return {
                link.get_attr("IFLA_IFNAME"): link["index"] for link in self._socket.get_links()
            }

    def addresses(self, index: int) -> list[Address]:
        with _as_os_error():
            return [Address(row) for row in self._socket.get_addr(index=index)]

    def is_up(self, index: int) -> bool:
        with _as_os_error():
            return any(link["flags"] & 1 for link in self._socket.get_links(index))

    def set_up(self, index: int, up: bool) -> None:
        with _as_os_error():
            self._socket.link("set", index=index, state="up" if up else "down")

    def move(self, index: int, namespace: int, name: str) -> None:
        with _as_os_error():
            self._socket.link("set", index=index, net_ns_fd=namespace, ifname=name)

    def add_address(self, index: int, address: Address) -> None:
        row = address.row
        broadcast = row.get_attr("IFA_BROADCAST")
        with _as_os_error():
            self._socket.addr(
                "add", index=index, prefixlen=row["prefixlen"], family=row["family"],
                address=row.get_attr("IFA_LOCAL") or row.get_attr("IFA_ADDRESS"),
                **({"broadcast": broadcast} if broadcast else {}),
            )  # fmt: skip


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code or errno.EIO, str(error)) from None
