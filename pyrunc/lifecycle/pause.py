# SPDX-License-Identifier: Apache-2.0
"""`pause` and `resume`: freeze all processes of a container, and thaw them."""

from __future__ import annotations

from pyrunc import cgroups
from pyrunc.errors import ContainerNotRunning, PyruncError, StateError
from pyrunc.lifecycle.status import CREATED, PAUSED, RUNNING, is_alive, status_of
from pyrunc.lifecycle.store import Entry


def pause(entry: Entry) -> None:
    """Freeze a container's cgroup; returns when all in it are frozen.

    Args:
        entry: the container's directory.

    Raises:
        ContainerNotRunning: it is neither created nor running, or has just ended.
        PyruncError: it cannot be frozen; it runs on.
    """
    entry.lock()
    state = entry.state()
    if status_of(entry, state) not in (CREATED, RUNNING):
        raise ContainerNotRunning
    cgroup = cgroups.open_cgroup(state.cgroup)
    try:
        cgroup.freeze()
    except PyruncError:
        # A container that ends in the meantime takes its processes along, and maybe its cgroup.
        if is_alive(state):
            raise
    if not is_alive(state):
        # Leftover processes must not stay frozen: on v1 they could not even be killed.
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
