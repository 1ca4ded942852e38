# SPDX-License-Identifier: Apache-2.0
"""How a container's program ended: taken by its parent, kept for those who ask later."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

from pyrunc.errors import PyruncError
from pyrunc.exits import Exit
from pyrunc.kernel import pidfd as kernel
from pyrunc.lifecycle import store
from pyrunc.lifecycle.children import until_over

# Who waits without being the parent gives that one so long to tell, or to reap.
_TRIES, _PAUSE = 20, 0.01


def reap(root: str, container_id: str, pidfd: int, oom_killed: Callable[[], bool]) -> Exit:
    """Wait for a program, take its status if it is a child of this process, and keep it.

    Args:
        root: the state root.
        container_id: the container.
        pidfd: of its init.
        oom_killed: asks its cgroup.

    Returns:
        How it ended; without a code where it was no child and its parent has not told.
    """
    until_over(pidfd, None)
    ended = kernel.reap(pidfd)
    if ended is None:
        other = _of_other(root, container_id, pidfd) or Exit(None)
        other.oom_killed = other.oom_killed or oom_killed()
        return other
    exit = Exit(*ended, oom_killed())
    save_exit(root, container_id, exit)
    return exit


def _of_other(root: str, container_id: str, pidfd: int) -> Exit | None:
    """Of a process that is another one's child: from that one, or from the kernel."""
    for _ in range(_TRIES):
        exit = read_exit(root, container_id)
        if exit is not None:
            return exit
        status = kernel.exit_status(pidfd)
        if status is not None:
            signal = status & 0x7F
            return Exit(128 + signal if signal else status >> 8, signal)
        sleep(_PAUSE)
    return None


def save_exit(root: str, container_id: str, exit: Exit) -> None:
    """Keep it with the container's state; a container that is deleted needs none."""
    try:
        with store.open_entry(root, container_id) as entry:
            entry.lock()
            if entry.has(store.STATE):  # else it has just been deleted
                entry.replace(store.EXIT, exit.to_dict())
    except (OSError, PyruncError):
        pass


def read_exit(root: str, container_id: str) -> Exit | None:
    """What `save_exit` has saved, or None."""
    try:
        with store.open_entry(root, container_id) as entry:
            found = entry.document(store.EXIT)
    except PyruncError:
        return None
    try:
        return None if found is None else Exit(**found)
    except TypeError:
        return None  # damaged
