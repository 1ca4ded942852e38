# SPDX-License-Identifier: Apache-2.0
"""`delete`: undo all that `create` did, even a killed one that is half done: the processes, the
cgroup (`Manager.destroy`), the resctrl group, the poststop hooks, the directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup, Manager
from pyrunc.errors import (
    ContainerNotFound,
    ForeignContainer,
    HookError,
    Interrupted,
    PyruncError,
    StateError,
)
from pyrunc.lifecycle import resctrl, store
from pyrunc.lifecycle.children import until_over
from pyrunc.lifecycle.hooks import decode, oci_state, run_hooks
from pyrunc.lifecycle.signals import Signals
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import CREATED, STOPPED, open_pidfd, status_of
from pyrunc.lifecycle.store import Entry

_DEATH_SECONDS = 10.0


def delete(
    root: str, container_id: str, *, force: bool = False, signals: Signals | None = None
) -> list[str]:
    """Remove a container.

    Args:
        root: the state root.
        container_id: which one.
        force: kill it if it runs; no error if there is none.
        signals: those that end a poststop hook, if they are caught.

    Returns:
        Warnings: poststop hooks that failed (runtime.md: they do not stop a deletion).

    Raises:
        ContainerNotFound: there is none (unless force).
        StateError: it is running or paused (unless force).
    """
    store.check_id(container_id)
    try:
        entry = store.open_entry(root, container_id)
    except ContainerNotFound:
        if force:
            return []
        raise
    with entry:
        entry.lock()
        try:
            state = entry.state()
        except ContainerNotFound:
            warnings = _sweep(entry, force)
            if force:
                return warnings
            raise
        except ForeignContainer:
            raise  # it lives on, and its runtime must find it
        except PyruncError:
            if not force:
                raise
            return _sweep(entry, force)
        return delete_locked(entry, state, force=force, signals=signals)


def delete_locked(
    entry: Entry, state: State, *, force: bool, signals: Signals | None = None
) -> list[str]:
    """As `delete`, for a caller that holds the container's lock.

    Args:
        entry: its directory, locked.
        state: its state.
        force, signals: as in `delete`.
    """
    status = status_of(entry, state)
    if status not in (STOPPED, CREATED) and not force:
        raise StateError(
            f"cannot delete container {entry.container_id} that is not stopped: {status}",
            hint="kill it first, or use --force",
        )
    manager = cgroups.manager_of(state.cgroup)
    if status != STOPPED:
        _kill(state, manager.cgroup)
    warnings = _clear(manager, state.resctrl, force)
    entry.remove()
    return warnings + poststop(state, signals)


def _clear(
    manager: Manager | None,
    group: dict[str, Any] | None,
    force: bool,
    there: Sequence[str] = (),
) -> list[str]:
    """Remove the cgroup and the resctrl group of a container that is dead.

    Args:
        manager: of its cgroup, None if none was noted.
        group: its resctrl group, as the state keeps it.
        force: whether what cannot be removed may be left behind.
        there: directories that existed before an unfinished creation.

    Returns:
        With force, what cannot be removed though nothing runs in it: a permanent error, as of a
        read-only cgroup mount, must not keep the id taken for ever.

    Raises:
        PyruncError: a group cannot be removed.
    """
    warnings = []
    try:
        if manager:
            manager.destroy(there)
    except PyruncError as error:
        if not force or not manager or manager.cgroup.populated():
            raise
        warnings.append(f"left behind: {error}")
    try:
        if group:
            resctrl.Group.from_dict(group).remove()
    except PyruncError as error:
        if not force:
            raise
        warnings.append(f"left behind: {error}")
    return warnings


def _kill(state: State, cgroup: Cgroup) -> None:
    """Kill init and wait for it; a zombie, which the caller has to reap, counts as gone."""
    pidfd = open_pidfd(state)
    if pidfd is None:
        return
    with pidfd:
        pidfd.kill()
        if cgroup.frozen():  # checked first: a read-only mount refuses any write
            cgroup.thaw()
        if not until_over(pidfd.fileno(), _DEATH_SECONDS):
            raise StateError("container init still running")


def _sweep(entry: Entry, force: bool) -> list[str]:
    """Remove what an unfinished creation may have left, by its journal."""
    effects = entry.journal()
    manager = cgroups.manager_of(effects["cgroup"]) if "cgroup" in effects else None
    warnings = _clear(manager, effects.get("resctrl"), force, effects.get("there", ()))
    entry.remove()
    return warnings


def poststop(state: State, signals: Signals | None = None) -> list[str]:
    """Run all poststop hooks, even if some fail, until a signal asks this process to end.

    Returns:
        One warning for each that failed.
    """
    if not state.hooks.get("poststop"):
        return []
    warnings = []
    document = oci_state(state, STOPPED, 0)
    for index, hook in enumerate(decode(state.hooks).poststop):
        try:
            run_hooks("poststop", (hook,), document, signals)
        except HookError as error:
            warnings.append(str(HookError("poststop", index, error.reason)))
        except Interrupted as error:
            # Otherwise only SIGKILL would end this command while a hook hangs.
            warnings.append(str(HookError("poststop", index, str(error))))
            break
    return warnings
