# SPDX-License-Identifier: Apache-2.0
"""Processes by their pidfds: a signal that can reach no other, how one ended."""

from __future__ import annotations

import os
import select
from signal import SIGKILL, pidfd_send_signal
from typing import Self

from pyrunc.kernel.descriptor import Descriptor


def send_signal(pidfd: int, number: int) -> None:
    """Send a signal; a process that has ended gets none."""
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def has_ended(pidfd: int, seconds: float | None = 0) -> bool:
    """Whether a process has ended, or does so in that time (None: whenever that is)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


class PidFd(Descriptor):
    """The pidfd of a process, owned as any `Descriptor`."""

    __slots__ = ()

    @classmethod
    def of(cls, pid: int) -> Self:
        """Of the process that has this pid now.

        Raises:
            OSError: of pidfd_open(2); ESRCH where there is none.
        """
        return cls(os.pidfd_open(pid))

    def send_signal(self, number: int) -> None:
        """Send a signal; a process that has ended gets none."""
        send_signal(self._fd, number)

    def kill(self) -> None:
        """Send SIGKILL; a process that has ended gets none."""
        send_signal(self._fd, SIGKILL)

    def has_ended(self, seconds: float | None = 0) -> bool:
        """Whether it has ended, or does so in that time (None: whenever that is)."""
        return has_ended(self._fd, seconds)

    def reap(self, options: int = 0) -> tuple[int, int] | None:
        """Wait for the end of a child and take its status.

        Args:
            options: for waitid(2), besides WEXITED.

        Returns:
            Its exit status, or 128 + signal; and the signal that killed it, or 0. None where it
            is not a child of this process, or its status has been taken already.
        """
        try:
            found = os.waitid(os.P_PIDFD, self._fd, os.WEXITED | options)
        except ChildProcessError:
            return None
        if found is None:
            return None
        signal = 0 if found.si_code == os.CLD_EXITED else found.si_status
        return (128 + signal if signal else found.si_status), signal
