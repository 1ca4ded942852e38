# SPDX-License-Identifier: Apache-2.0
"""Processes by their pidfds: a signal that can reach no other, and how one ended."""

from __future__ import annotations

import os
from signal import SIGKILL, pidfd_send_signal


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
