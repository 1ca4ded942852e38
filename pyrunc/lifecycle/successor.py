# SPDX-License-Identifier: Apache-2.0
"""Finds the second stage of a pyrunc-init whose first one died before it reported it."""

from __future__ import annotations

import os

from pyrunc.kernel.pidfd import PidFd


def find(peer: int, known: int) -> PidFd | None:
    """The child of ours that holds the other end of a socket.

    CLONE_PARENT made it a child of ours, and no other process still has that end.

    Args:
        peer: inode of that end.
        known: pid of the first stage.

    Returns:
        Its pidfd, or None if there is none.
    """
    for pid in _children():
        if pid == known:
            continue
        try:
            # Before the check: after it the pid could be another process's.
            pidfd = PidFd.of(pid)
        except OSError:
            continue
        if _holds(pid, f"socket:[{peer}]"):
            return pidfd
        pidfd.close()
    return None


def _children() -> list[int]:
    """The children of all our threads (proc_pid_task_children(5)), in any order."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        except OSError:
            continue  # a thread that has ended, or a kernel without CONFIG_PROC_CHILDREN
    return found


def _holds(pid: int, link: str) -> bool:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for number in numbers:
        try:
            if os.readlink(f"/proc/{pid}/fd/{number}") == link:
                return True
        except OSError:
            continue
    return False
