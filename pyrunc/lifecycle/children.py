# SPDX-License-Identifier: Apache-2.0
"""Processes that this one has started in containers, and has to reap.

The first process of a pid namespace ends only when all others in it are gone, zombies too
(pid_namespaces(7)), and one that was started from outside is its parent's to reap. So while this
process waits for a container's end it reaps those of its own that end; otherwise it would wait for
itself.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any
from weakref import ref

from pyrunc.kernel.pidfd import PidFd

_started: set[ref[Any]] = set()
_abandoned: set[PidFd] = set()  # those whose `Process` is gone


def add(process: Any) -> None:
    """Reap this `Process` while waiting for a container's end. Also reaps abandoned ones that have
    ended, so that their descriptors do not accumulate in a long-running program."""
    for pidfd in tuple(_abandoned):
        _reap(pidfd)
    _started.add(ref(process, _started.discard))


def abandon(pidfd: PidFd) -> None:
    """Its exit is of no interest any more: reap it, now or later."""
    _abandoned.add(pidfd)
    _reap(pidfd)


def until_over(pidfd: int, timeout: float | None) -> bool:
    """Wait until a process has ended or the timeout (None: never) is over; whether it has."""
    end = None if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    others: dict[int, Any] = {left.fileno(): left for left in tuple(_abandoned)}
    for started in tuple(_started):
        if (process := started()) is not None:
            others[process.fileno()] = process
    for fd in others:
        poll.register(fd, select.POLLIN)
    while True:
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        ready = [fd for fd, _ in poll.poll(left)]
        if pidfd in ready or not ready:
            return pidfd in ready
        for fd in ready:
            poll.unregister(fd)
            process = others[fd]
            if isinstance(process, PidFd):
                _reap(process)
            else:
                process.poll()


def _reap(pidfd: PidFd) -> None:
    try:
        _abandoned.remove(pidfd)  # of two threads one removes it, and closes it
    except KeyError:
        return
    try:
        ended = os.waitid(os.P_PIDFD, pidfd.fileno(), os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        ended = True  # reaped elsewhere
    if ended:
        pidfd.close()
    else:
        _abandoned.add(pidfd)
