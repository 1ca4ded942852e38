# SPDX-License-Identifier: Apache-2.0
"""The lock of a container: one process changes it at a time, until it closes the descriptor."""

from __future__ import annotations

import fcntl
import os
import time

from pyrunc.errors import KernelError, PyruncError

_SECONDS = 15.0
_PAUSE = 0.01


def acquire(fd: int, container_id: str) -> None:
    """Take the lock.

    Args:
        fd: of the container's directory; the lock belongs to it, and ends with it.
        container_id: for messages.

    Raises:
        PyruncError: another process has held it for too long, or waits for this very one.
    """
    deadline = 0.0
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            raise KernelError("lock container", "flock", error.errno or 0, container_id) from None
        if not deadline:
            deadline = time.monotonic() + _SECONDS
            _refuse_own_holder(fd, container_id)
        if time.monotonic() > deadline:
            raise PyruncError(
                f"container {container_id} is being changed by {_named(_holder(fd))}",
                hint="a hook may hang; try again later",
            )
        time.sleep(_PAUSE)


def release(fd: int) -> None:
    """Let other processes change the container."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def _refuse_own_holder(fd: int, container_id: str) -> None:
    """Refuse to wait for an ancestor: a hook that changes the container of the command that runs
    it would deadlock with it."""
    holder = _holder(fd)
    if holder and holder in _ancestors():
        raise PyruncError(
            f"container {container_id} is being changed by {_named(holder)}, which waits for "
            "this command to end",
            hint="only poststart and later hooks can change their container",
        )


def _named(pid: int) -> str:
    return f"process {pid}" if pid else "another process"


def _holder(fd: int) -> int:
    """The pid that holds the lock (proc_locks(5)), or 0 where that is not visible."""
    found = os.fstat(fd)
    inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as locks:
            rows = [line.split() for line in locks]
        # "1: FLOCK  ADVISORY  WRITE 712 00:17:1188 0 EOF"; a waiter has "->" before FLOCK.
        pids = [int(row[4]) for row in rows if row[1:2] == ["FLOCK"] and row[5:6] == [inode]]
        return max(pids[0], 0)
    except (OSError, ValueError, IndexError):
        return 0


def _ancestors() -> set[int]:
    """The parent of this process, its parent, and so on."""
    found: set[int] = set()
    pid = os.getppid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # The name in parentheses may contain anything, parentheses included.
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found
