# SPDX-License-Identifier: Apache-2.0
"""Processes by their pidfds: a signal that can reach no other, how one ended, its descriptors."""

from __future__ import annotations

import os
from signal import SIGKILL, pidfd_send_signal

from pyrunc.errors import KernelError
from pyrunc.kernel._core import ffi, lib


def send_signal(pidfd: int, number: int) -> None:
    """Send a signal; a process that has ended gets none."""
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def kill(pidfd: int) -> None:
    """Send SIGKILL; a process that has ended gets none."""
    send_signal(pidfd, SIGKILL)


def reap(pidfd: int, options: int = 0) -> tuple[int, int] | None:
    """Wait for the end of a child and take its status.

    Args:
        pidfd: of the child.
        options: for waitid(2), besides WEXITED.

    Returns:
        Its exit status, or 128 + signal; and the signal that killed it, or 0. None where it is
        not a child of this process, or its status has been taken already.
    """
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | options)
    except ChildProcessError:
        return None
    if found is None:
        return None
    signal = 0 if found.si_code == os.CLD_EXITED else found.si_status
    return (128 + signal if signal else found.si_status), signal


def get_descriptor(pidfd: int, number: int) -> int:
    """A copy of another process's descriptor (pidfd_getfd(2)), close-on-exec.

    Raises:
        KernelError: it has none of that number, or we may not.
    """
    fd: int = lib.pyrunc_get_descriptor(pidfd, number)
    if fd < 0:
        raise KernelError("take a descriptor of pyrunc-init", "pidfd_getfd", -fd, str(number))
    return fd


def exit_status(pidfd: int) -> int | None:
    """The wait status (wait(2)) of a process that has been reaped, if this kernel reports it.

    Args:
        pidfd: opened while the process lived.

    Returns:
        The status, or None: not reaped yet, or a kernel before 6.15 (PIDFD_GET_INFO).
    """
    status = ffi.new("int *")
    return int(status[0]) if lib.pyrunc_exit_status(pidfd, status) == 0 else None
