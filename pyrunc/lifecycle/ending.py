# SPDX-License-Identifier: Apache-2.0
"""How a container's program ended: read by its parent, saved for others."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

from pyrunc.errors import PyruncError
from pyrunc.exits import Exit
from pyrunc.kernel import calls
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle import store
from pyrunc.lifecycle.children import until_over

# How long a waiter that is not the parent gives the parent to save the exit.
_TRIES, _PAUSE = 20, 0.01


def reap(root: str, container_id: str, pidfd: PidFd, oom_killed: Callable[[], bool]) -> Exit:
    """Wait for a program; reap it and save its exit if it is a child of this process.

    Args:
        root: the state root.
        container_id: the container.
        pidfd: of its init.
        oom_killed: whether its cgroup had an OOM kill.

    Returns:
        How it ended; without a code where it was not a child and its parent has not saved it.
    """
    until_over(pidfd.fileno(), None)
    ended = pidfd.reap()
    if ended is None:
        other = _of_other(root, container_id, pidfd.fileno()) or Exit(None)
        other.oom_killed = other.oom_killed or oom_killed()
        return other
    exit = Exit(*ended, oom_killed())
    save_exit(root, container_id, exit)
    return exit


def _of_other(root: str, container_id: str, pidfd: int) -> Exit | None:
    """The exit of a process that is not our child: from its parent, or from the kernel."""
    for _ in range(_TRIES):
        exit = read_exit(root, container_id)
        if exit is not None:
            return exit
        status = calls.exit_status(pidfd)
        if status is not None:
            signal = status & 0x7F
            return Exit(128 + signal if signal else status >> 8, signal)
        sleep(_PAUSE)
    return None


def save_exit(root: str, container_id: str, exit: Exit) -> None:
    """Save it with the container's state, unless that has been deleted."""
    try:
        with store.open_entry(root, container_id) as entry:
            entry.lock()
            if entry.has(store.STATE):  # otherwise it has just been deleted
                entry.replace(store.EXIT, exit.to_dict())
    except (OSError, PyruncError):
        pass


def read_exit(root: str, container_id: str) -> Exit | None:
    """What `save_exit` saved, or None."""
    try:
        with store.open_entry(root, container_id) as entry:
            found = entry.document(store.EXIT)
    except PyruncError:
        return None
    try:
        return None if found is None else Exit(**found)
    except TypeError:
        return None  # damaged
