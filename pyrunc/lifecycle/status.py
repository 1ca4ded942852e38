# SPDX-License-Identifier: Apache-2.0
"""The status of a container: the kernel is asked each time, nothing is stored."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

from pyrunc import cgroups
from pyrunc.errors import KernelError, reported
from pyrunc.kernel.descriptor import opened
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.store import FIFO, Entry

CREATED, RUNNING, PAUSED, STOPPED = "created", "running", "paused", "stopped"
_STATE, _START_TIME = 0, 19  # fields 3 and 22 of proc_pid_stat(5), counted after the name


def process_stat(pid: int) -> tuple[str, int] | None:
    """A process's state letter and start time in clock ticks, or None if there is none."""
    path = f"/proc/{pid}/stat"
    try:
        with opened(path) as file:
            data = os.read(file.fileno(), 4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError as error:
        raise KernelError("read", "", error.errno or 0, path) from None
    # The name in parentheses may contain anything, parentheses included.
    fields = data[data.rindex(b")") + 2 :].split()
    return fields[_STATE].decode(), int(fields[_START_TIME])


def boot_id() -> str:
    """The id of this boot (random(4)); "" where that cannot be read."""
    try:
        with opened("/proc/sys/kernel/random/boot_id") as file:
            return os.read(file.fileno(), 64).decode("ascii", "replace").strip()
    except OSError:
        return ""


def is_alive(state: State, boot: str | None = None) -> bool:
    """Whether the init that the state names is alive: same pid, same start time (pids are reused),
    and same boot, as start times count from it and a state may be on a disk.

    Args:
        state: of the container.
        boot: from `boot_id`, for a caller that asks about many.
    """
    then, now = state.boot, boot_id() if boot is None else boot
    if then and now and then != now:  # without either id no process is declared dead
        return False
    stat = process_stat(state.pid)
    return stat is not None and stat[0] not in "ZX" and stat[1] == state.startTime


def status_of(entry: Entry, state: State, boot: str | None = None) -> str:
    """created, running, paused or stopped; `boot` as for `is_alive`."""
    if not is_alive(state, boot):
        return STOPPED
    if _is_frozen(state):
        return PAUSED
    return CREATED if entry.has(FIFO) else RUNNING


def document(state: State, status: str) -> dict[str, Any]:
    """The state document of runtime.md, with runc's further members."""
    found = {
        "ociVersion": state.ociVersion,
        "id": state.id,
        "pid": 0 if status == STOPPED else state.pid,
        "status": status,
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
    }
    if state.annotations:
        found["annotations"] = state.annotations
    found["owner"] = ""
    return found


def _is_frozen(state: State) -> bool:
    return cgroups.frozen(state.cgroup)


def open_pidfd(state: State) -> PidFd | None:
    """A pidfd of the container's init, or None if it is gone.

    The identity is checked after opening: before that, the pid could be reused.

    Raises:
        KernelError: no descriptor is left, for example.
    """
    with reported("open the container's process", "pidfd_open", str(state.pid)):
        try:
            pidfd = PidFd.of(state.pid)
        except OSError as error:
            if error.errno in (errno.ESRCH, errno.EINVAL):
                return None
            raise
    if is_alive(state):
        return pidfd
    pidfd.close()
    return None


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, as Go prints a time in UTC."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"
