# SPDX-License-Identifier: Apache-2.0
"""Processes that this one has started into containers, and has to reap for them.

The first process of a pid namespace ends only when all others in it are gone, zombies too
(pid_namespaces(7)), and one that was started from outside is its starter's to reap. So whoever
waits for a container's end in this process reaps meanwhile what has ended of its own; otherwise it
would wait for itself.
"""

from __future__ import annotations

import os
import select
import time
from typing import Any
from weakref import ref

_started: set[ref[Any]] = set()
_abandoned: set[int] = set()  # pidfds of those of which nobody asks any more


def add(process: Any) -> None:
    """Reap this `Process` when a container's end is waited for; and the forgotten ones that have
    ended, lest their descriptors add up in a program that goes on."""
    for pidfd in tuple(_abandoned):
        _reap(pidfd)
    _started.add(ref(process, _started.discard))


def abandon(pidfd: int) -> None:
    """Nobody will ask how it ended: reap it, now or later."""
    _abandoned.add(pidfd)
    _reap(pidfd)


def until_over(pidfd: int, timeout: float | None) -> bool:
    """Wait for the end of a process, for so many seconds or for ever; whether it has ended."""
    end = None if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    others: dict[int, Any] = dict.fromkeys(_abandoned)
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
            if process is None:
                _reap(fd)
            else:
                process.poll()


def _reap(pidfd: int) -> None:
    try:
        _abandoned.remove(pidfd)  # of two threads one has it, and closes it
    except KeyError:
        return
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        ended = True  # somebody else has reaped it
    if ended:
        os.close(pidfd)
    else:
        _abandoned.add(pidfd)
