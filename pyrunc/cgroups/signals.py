# SPDX-License-Identifier: Apache-2.0
"""Signals to the members of a cgroup: SIGKILL without cgroup.kill, and all others.

This module must not freeze or thaw: whoever calls it knows how its hierarchy does that.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from signal import SIGKILL

from pyrunc.kernel.pidfd import PidFd

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
    wanted = [*dict.fromkeys(members())]
    for start in range(0, len(wanted), _BATCH):
        with ExitStack() as opened:
            found = {
                pid: opened.enter_context(process)
                for pid in wanted[start : start + _BATCH]
                if (process := _open(pid))
            }
            still = set(members()) - {os.getpid()}
            for pid in [pid for pid in found if pid in still]:
                found[pid].send_signal(number)


def _open(pid: int) -> PidFd | None:
    """A pidfd; None for a process that has ended."""
    try:
        return PidFd.of(pid)
    except OSError as error:
        # ENOENT: a thread id, of a process that has ended in the meantime.
        if error.errno in (errno.ESRCH, errno.ENOENT, errno.EINVAL):
            return None
        raise
