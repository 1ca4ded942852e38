# SPDX-License-Identifier: Apache-2.0
"""Network devices and their addresses, as rtnetlink(7) has them. Knows nothing of OCI."""

from __future__ import annotations

import os
from dataclasses import dataclass
from socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket
from struct import calcsize, pack, unpack_from

from pyrunc.kernel import calls

# <linux/netlink.h>
_HEADER = "=IHHII"  # length, type, flags, sequence, port
_HEADER_SIZE = calcsize(_HEADER)
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_CREATE, _EXCLUSIVE = 0x400, 0x200
_TYPE_MASK = 0x3FFF  # above are NLA_F_NESTED and NLA_F_NET_BYTEORDER
# <linux/rtnetlink.h>
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
# <linux/if_link.h> and struct ifinfomsg: family, type, index, flags, mask of flags
_LINK = "=BxHiII"
_IFNAME, _NET_NS_FD = 3, 28
_UP = 0x1
# <linux/if_addr.h>: struct ifaddrmsg
_ADDRESS_HEADER = "=BBBBI"
_ADDRESS, _LOCAL, _BROADCAST, _FLAGS = 1, 2, 4, 8
_PERMANENT = 0x80
_UNIVERSE = 0
_ROUTE = 0
# A dump's message is as long as a page, or 32 KiB where the reader has room for it.
_ROOM = 1 << 16


@dataclass(slots=True)
class Address:
    """One address of a device: what is needed to give another device the same."""

    family: int
    prefix: int
    flags: int
    scope: int
    attributes: dict[int, bytes]

    @property
    def permanent(self) -> bool:
        """Global, and not one of those that the kernel, or a lease, gives and takes."""
        return bool(self.flags & _PERMANENT) and self.scope == _UNIVERSE


class Netlink:
    """A connection to the kernel's tables of one network namespace.

    Args:
        namespace: its descriptor, or -1 for this thread's own.

    Raises:
        KernelError: the namespace cannot be entered.
        OSError: of socket(2).
    """

    def __init__(self, namespace: int = -1) -> None:
        if namespace < 0:
            self._socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _ROUTE)
        else:
            self._socket = socket(fileno=calls.netlink_in(namespace).take())
        self._sequence = 0

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def links(self) -> dict[str, int]:
        """The devices: name -> index.

        Raises:
            OSError: the kernel refuses; so do all others here.
        """
        found = {}
        for body in self._ask(_GETLINK, _DUMP, pack(_LINK, 0, 0, 0, 0, 0)):
            index: int = unpack_from(_LINK, body)[2]
            name = _attributes(body, calcsize(_LINK)).get(_IFNAME, b"")
            found[name.rstrip(b"\0").decode(errors="surrogateescape")] = index
        return found

    def addresses(self, index: int) -> list[Address]:
        """The addresses of a device."""
        found = []
        for body in self._ask(_GETADDR, _DUMP, pack(_ADDRESS_HEADER, 0, 0, 0, 0, 0)):
            family, prefix, flags, scope, of = unpack_from(_ADDRESS_HEADER, body)
            if of != index:
                continue
            attributes = _attributes(body, calcsize(_ADDRESS_HEADER))
            if _FLAGS in attributes:  # the header has room for the first eight only
                (flags,) = unpack_from("=I", attributes[_FLAGS])
            found.append(Address(family, prefix, flags, scope, attributes))
        return found

    def is_up(self, index: int) -> bool:
        """Whether a device is up."""
        rows = self._ask(_GETLINK, _DUMP, pack(_LINK, 0, 0, 0, 0, 0))
        found = [unpack_from(_LINK, body) for body in rows]
        return any(row[2] == index and row[3] & _UP for row in found)

    def set_up(self, index: int, up: bool) -> None:
        """Bring a device up or down."""
        self._ask(_NEWLINK, _ACK, pack(_LINK, 0, 0, index, _UP if up else 0, _UP))

    def move(self, index: int, namespace: int, name: str) -> None:
        """Move a device into another namespace under another name, in one request: there is no
        moment at which the old name is taken there.
        """
        request = pack(_LINK, 0, 0, index, 0, 0)
        request += _attribute(_NET_NS_FD, pack("=I", namespace))
        self._ask(_NEWLINK, _ACK, request + _attribute(_IFNAME, name.encode() + b"\0"))

    def add_address(self, index: int, address: Address) -> None:
        """Give a device another one's address."""
        request = pack(_ADDRESS_HEADER, address.family, address.prefix, 0, address.scope, index)
        given = address.attributes
        # Without a peer the kernel expects, and reports, the same in both.
        local = given.get(_LOCAL) or given.get(_ADDRESS, b"")
        request += _attribute(_LOCAL, local) + _attribute(_ADDRESS, local)
        if _BROADCAST in given:
            request += _attribute(_BROADCAST, given[_BROADCAST])
        self._ask(_NEWADDR, _ACK | _CREATE | _EXCLUSIVE, request)

    def _ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        """One request; the bodies of the messages that answer it."""
        self._sequence += 1
        length = _HEADER_SIZE + len(body)
        header = pack(_HEADER, length, kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        found: list[bytes] = []
        while True:
            data = self._socket.recv(_ROOM)
            at = 0
            while at < len(data):
                length, answer, _, sequence, _ = unpack_from(_HEADER, data, at)
                content = data[at + _HEADER_SIZE : at + length]
                at += _aligned(length)
                if sequence != self._sequence:
                    continue
                if answer in (_ERROR, _DONE):
                    _refuse(content)
                    return found
                found.append(content)


def _refuse(content: bytes) -> None:
    """Raise what an acknowledgement, or the end of a dump, says."""
    (number,) = unpack_from("=i", content) if len(content) >= 4 else (0,)
    if number:
        raise OSError(-number, os.strerror(-number))


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return pack("=HH", length, kind) + value.ljust(_aligned(length) - 4, b"\0")


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= len(body):
        length, kind = unpack_from("=HH", body, at)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = body[at + 4 : at + length]
        at += _aligned(length)
    return found
