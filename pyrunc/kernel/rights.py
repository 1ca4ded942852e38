# SPDX-License-Identifier: Apache-2.0
"""Descriptors over Unix sockets: SCM_RIGHTS, unix(7)."""

from __future__ import annotations

import sys
from socket import CMSG_LEN, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET, socket

from pyrunc.kernel.descriptor import Descriptor

_BYTES = 4  # of a descriptor's number


def send(connection: socket, data: bytes, fd: int) -> int:
    """Send a descriptor with some data; how many bytes of it were sent."""
    number = fd.to_bytes(_BYTES, sys.byteorder)
    return connection.sendmsg([data], [(SOL_SOCKET, SCM_RIGHTS, number)])


def receive(connection: socket, size: int, most: int = 1) -> tuple[bytes, list[Descriptor]]:
    """Receive data with at most so many descriptors; of more the kernel keeps none.

    They are close-on-exec from the start, which socket.recv_fds() cannot do.
    """
    room = CMSG_LEN(most * _BYTES)
    data, ancillary, _, _ = connection.recvmsg(size, room, MSG_CMSG_CLOEXEC)
    return data, [
        Descriptor(int.from_bytes(payload[at : at + _BYTES], sys.byteorder))
        for level, kind, payload in ancillary
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS)
        for at in range(0, len(payload), _BYTES)
    ]
