# SPDX-License-Identifier: Apache-2.0
"""systemd's readiness protocol (sd_notify(3)), relayed out of a container.

`create` gives the container a directory with room for a socket; `start` binds the socket, waits
until the program sends READY=1 (or has died), and notifies the manager by its own NOTIFY_SOCKET.
"""

from __future__ import annotations

import os
import select
from socket import AF_UNIX, SOCK_DGRAM, socket

from pyrunc.errors import KernelError, reported
from pyrunc.kernel import rights
from pyrunc.kernel.calls import pipe
from pyrunc.kernel.descriptor import opened
from pyrunc.lifecycle.signals import Signals
from pyrunc.spec.model import Mount, Spec

DIRECTORY, NAME = "notify", "notify.sock"
INSIDE = "/run/notify"
_BARRIER_SECONDS = 30


def add_to(spec: Spec, entry_path: str) -> tuple[str, ...]:
    """Mount the directory into the container.

    Args:
        spec: the mount is added to it.
        entry_path: the container's state directory.

    Returns:
        The variables that the program needs.
    """
    source = f"{entry_path}/{DIRECTORY}"
    options = ("bind", "nosuid", "noexec", "nodev", "ro")
    mount = Mount(destination=INSIDE, source=source, type="bind", options=options)
    spec.mounts = (*spec.mounts, mount)
    return (f"NOTIFY_SOCKET={INSIDE}/{NAME}",)


def listen(entry_path: str) -> socket:
    """Bind the socket, before the program can look for it.

    Raises:
        KernelError: it cannot be bound.
    """
    path = f"{entry_path}/{DIRECTORY}"
    listener = socket(AF_UNIX, SOCK_DGRAM)
    try:
        with opened(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW) as directory:
            # By descriptor: a socket's path may only be 107 bytes long.
            short = f"/proc/self/fd/{directory.fileno()}/{NAME}"
            try:
                os.unlink(NAME, dir_fd=directory.fileno())  # of a start that was killed
            except FileNotFoundError:
                pass
            listener.bind(short)
            os.chmod(short, 0o777)  # noqa: S103  # any user of the container may be ready
    except OSError as error:
        listener.close()
        raise KernelError("bind", "bind", error.errno or 0, f"{path}/{NAME}") from None
    return listener


def relay(
    listener: socket, manager: str, pidfd: int, pid: int, signals: Signals | None = None
) -> None:
    """Wait for READY= and pass it on, or for the container to end.

    Args:
        listener: from `listen`.
        manager: the caller's NOTIFY_SOCKET.
        pidfd: of the container's init, lent.
        pid: of the container's init.
        signals: those that end the wait, if they are caught.

    Raises:
        Interrupted: a signal asks this process to end.
        KernelError: the manager cannot be reached.
    """
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    if signals:
        poll.register(signals, select.POLLIN)
    # A loop, not a recursion: how many messages come is the container's choice.
    while True:
        ready = dict(poll.poll())
        if signals and signals.fileno() in ready:
            signals.check()
        if pidfd in ready and listener.fileno() not in ready:
            return
        if listener.fileno() not in ready:
            continue
        for line in listener.recv(4096).split(b"\n"):
            if line.startswith(b"READY="):
                _notify(manager, line, pid)
                return


def _notify(manager: str, ready: bytes, pid: int) -> None:
    """READY, then whose, then a barrier: the manager has read both when its pipe closes."""
    reader, writer = pipe("notify the manager")
    with reader, reported("notify the manager", "send", manager):
        with writer:
            _send(manager, ready, pid, writer.fileno())
        poll = select.poll()
        poll.register(reader, select.POLLHUP)
        poll.poll(_BARRIER_SECONDS * 1000)


def _send(manager: str, ready: bytes, pid: int, barrier: int) -> None:
    with socket(AF_UNIX, SOCK_DGRAM) as connection:
        connection.connect("\0" + manager[1:] if manager.startswith("@") else manager)
        connection.send(ready)
        connection.send(b"MAINPID=%d" % pid)
        rights.send(connection, b"BARRIER=1", barrier)
