# SPDX-License-Identifier: Apache-2.0
"""`pause` and `resume`: stop all processes of a container for a while, and let them go on."""

from __future__ import annotations

from pyrunc import cgroups
from pyrunc.errors import ContainerNotRunning, PyruncError, StateError
from pyrunc.lifecycle.status import CREATED, PAUSED, RUNNING, is_alive, status_of
from pyrunc.lifecycle.store import Entry


def pause(entry: Entry) -> None:
    """Freeze a container's cgroup, and return when nothing in it runs any more.

    Args:
        entry: the container's directory.

    Raises:
        ContainerNotRunning: it is neither created nor running, or has ended meanwhile.
        PyruncError: it cannot be frozen; it goes on then.
    """
    entry.lock()
    state = entry.state()
    if status_of(entry, state) not in (CREATED, RUNNING):
        raise ContainerNotRunning
    cgroup = cgroups.open_cgroup(state.cgroup)
    try:
        cgroup.freeze()
    except PyruncError:
        # A container that ends meanwhile takes its cgroup's processes along, and maybe more.
        if is_alive(state):
            raise
    if not is_alive(state):
        # What is left of it must not stay frozen: v1 could not even kill it.
        cgroup.thaw()
        raise ContainerNotRunning


def resume(entry: Entry) -> None:
    """Undo `pause`.

    Args:
        entry: the container's directory.

    Raises:
        StateError: the container is not paused.
        CgroupError: the kernel refuses.
    """
    entry.lock()
    state = entry.state()
    if status_of(entry, state) != PAUSED:
        raise StateError("container not paused")
    cgroups.open_cgroup(state.cgroup).thaw()
