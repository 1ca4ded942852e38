# SPDX-License-Identifier: Apache-2.0
"""`inspect`: all that is in force for one container, in one document."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import Any

from pyrunc import cgroups, jsontext
from pyrunc.errors import KernelError, PyruncError
from pyrunc.lifecycle import store
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import STOPPED, boot_id, document, is_alive, status_of
from pyrunc.observe import proc as kernel_view
from pyrunc.observe import stats


def inspect(root: str, container_id: str) -> dict[str, Any]:
    """What is in force for a container.

    Args:
        root: the state root.
        container_id: which one.

    Returns:
        JSON values: `state` as runtime.md has it; `config`, what was asked for of hooks and
        devices; and of a container with a process `process`, `namespaces`, `mounts`, `processes`
        and `stats` as `events` prints them, of which there may be none without a cgroup.

    Raises:
        ContainerNotFound: there is none.
        KernelError: the caller may not look at its process.
        PyruncError: its state cannot be read.
    """
    with store.open_entry(root, container_id) as entry:
        state = entry.state()
        status = status_of(entry, state)
        config = jsontext.loads(entry.config(), store.CONFIG, [])
    found: dict[str, Any] = {"state": document(state, status), "config": _asked(config)}
    if status == STOPPED:
        return found
    try:
        with kernel_view.process_directory(state.pid) as directory:
            proc = directory.fileno()
            if not is_alive(state):
                raise ProcessLookupError
            found |= {
                "process": kernel_view.process(proc),
                "namespaces": _namespaces(root, state, proc),
                "mounts": kernel_view.mounts(proc),
            }
    except (FileNotFoundError, ProcessLookupError):
        return found  # it has ended since
    except OSError as error:
        # It has more rights than the caller (ptrace(2), access mode checks).
        what = f"process {state.pid}"
        raise KernelError("inspect", "", error.errno or errno.EIO, what) from None
    return found | _cgroup(state)


def _asked(config: dict[str, Any]) -> dict[str, Any]:
    linux = config.get("linux") or {}
    return {
        "hooks": config.get("hooks") or {},
        "devices": linux.get("devices") or [],
        "deviceRules": (linux.get("resources") or {}).get("devices") or [],
    }


def _cgroup(state: State) -> dict[str, Any]:
    cgroup = cgroups.open_cgroup(state.cgroup)
    try:
        return {
            "cgroup": cgroup.directories,
            "processes": sorted(cgroup.pids()),
            "stats": stats.data(cgroup.stats()),
        }
    except (PyruncError, OSError):
        return {"cgroup": [], "processes": [state.pid]}
    finally:
        cgroup.close()


def _namespaces(root: str, state: State, proc: int) -> list[dict[str, Any]]:
    """With the host, which is where the caller is, and the other containers below the same root."""
    with ExitStack() as opened:
        here = opened.enter_context(kernel_view.process_directory(os.getpid()))
        others = {"host": here.fileno()}
        for other in _others(root, state.id):
            try:
                place = kernel_view.process_directory(other.pid)
                others[other.id] = opened.enter_context(place).fileno()
            except OSError:
                continue
        return kernel_view.namespaces(proc, others)


def _others(root: str, container_id: str) -> list[State]:
    boot = boot_id()
    with store.open_root(root) as opened:
        above = opened.fileno()
        states = [_state(root, other, above) for other in store.ids(above) if other != container_id]
    return [state for state in states if state is not None and is_alive(state, boot)]


def _state(root: str, container_id: str, above: int) -> State | None:
    try:
        with store.open_entry(root, container_id, above) as entry:
            return entry.state()
    except PyruncError:
        return None  # deleted since, or damaged
