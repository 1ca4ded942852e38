# SPDX-License-Identifier: Apache-2.0
"""Signals to the members of a cgroup: SIGKILL without cgroup.kill, and all others.

This module must not freeze or thaw: whoever calls it knows how its hierarchy does that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from signal import SIGKILL

from pyrunc.kernel import pidfd

# Descriptors held at once.
_BATCH = 200


def kill_members(members: Callable[[], list[int]]) -> None:
    """Send SIGKILL to every member; as `send`."""
    send(members, SIGKILL)


def send(members: Callable[[], list[int]], number: int) -> None:
    """Send a signal to every member, each through a pidfd.

    A pid read from cgroup.procs may be another process by the time of the signal. So all are
    opened first, the list is read again, and only processes still on it are signalled.

    Args:
        members: reads the current members of the cgroup.
        number: the signal.

    Raises:
        OSError: pidfd_open(2) or pidfd_send_signal(2), for another reason than that the
            process is gone.
    """
    wanted = members()
    for start in range(0, len(wanted), _BATCH):
        opened = _open(wanted[start : start + _BATCH])
        try:
            still = set(members()) - {os.getpid()}
            for pid, fd in opened.items():
                if pid in still:
                    pidfd.send_signal(fd, number)
        finally:
            for fd in opened.values():
                os.close(fd)


def _open(pids: list[int]) -> dict[int, int]:
    opened: dict[int, int] = {}
    try:
        for pid in dict.fromkeys(pids):
            try:
                opened[pid] = os.pidfd_open(pid)
            except OSError as error:
                # ENOENT: a thread id, of a process that has ended in the meantime.
                if error.errno not in (errno.ESRCH, errno.ENOENT, errno.EINVAL):
                    raise
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened
