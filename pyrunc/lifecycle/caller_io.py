# SPDX-License-Identifier: Apache-2.0
"""The caller's side of `create` and `exec`: its checked arguments, sockets and pid file."""

from __future__ import annotations

import errno
import os
from socket import AF_UNIX, SOCK_STREAM, socket

from pyrunc.errors import KernelError, PyruncError, UsageError, reported
from pyrunc.kernel import rights
from pyrunc.kernel.descriptor import opened
from pyrunc.lifecycle.bundle import written


def bundle_directory(bundle: str) -> str:
    path = os.path.abspath(bundle)
    if not os.path.isdir(path):
        raise PyruncError(f"chdir {bundle}: no such file or directory")
    return written(path, "the bundle")


def check_terminal(terminal: bool, has_socket: bool, detached: bool) -> None:
    if terminal and not has_socket:
        raise UsageError(
            "cannot allocate tty if runc will detach without setting console socket",
            hint="give a console socket, or set process.terminal to false",
        )
    if has_socket and detached and not terminal:
        raise UsageError("cannot use console socket if runc will not detach or allocate tty")


def check_preserved(count: int, ours: int = -1) -> None:
    """Refuse to pass on descriptors that the caller has not opened.

    To be called before anything is opened here: it could get the number of a missing one.

    Args:
        count: how many descriptors, from 3 on.
        ours: one among them that is this process's own: its log.
    """
    for i in range(count):
        try:
            if 3 + i == ours:
                raise OSError(errno.EBADF, "")
            os.fstat(3 + i)
        except OSError as error:
            raise KernelError(
                f"unable to stat preserved-fd {i + 1} (of {count})", "fstat", error.errno or 0
            ) from None


def connected(path: str, what: str) -> socket:
    """A stream socket connected to a path."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.settimeout(10)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        number = error.errno or errno.ETIMEDOUT
        raise KernelError(f"connect to the {what} socket", "connect", number, path) from None
    connection.settimeout(None)
    return connection


def send_pidfd(path: str, pidfd: int, kind: bytes = b"standard") -> None:
    """One message with the pidfd: "standard" for a container's init, "setns" for a process that
    has joined, as runc words it."""
    with connected(path, "pidfd") as connection, reported("send the pidfd", "sendmsg", path):
        rights.send(connection, kind, pidfd)


def write_pid_file(path: str, pid: int) -> None:
    """Temporary file and rename: a reader sees the whole number or the old file."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    call = "open"
    try:
        with opened(temporary, flags, 0o666) as file:
            call = "write"
            os.write(file.fileno(), str(pid).encode())
        call = "rename"
        os.rename(temporary, path)
    except OSError as error:
        if call != "open":
            os.unlink(temporary)  # in the way of every later one
        raise KernelError("write the pid file", call, error.errno or 0, path) from None
