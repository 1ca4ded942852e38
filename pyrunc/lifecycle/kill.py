# SPDX-License-Identifier: Apache-2.0
"""`kill`: send a signal to a container."""

from __future__ import annotations

import errno
from signal import SIGKILL, pidfd_send_signal

from pyrunc import cgroups
from pyrunc.cgroups import Cgroup
from pyrunc.errors import ContainerNotRunning, KernelError
from pyrunc.kernel.pidfd import PidFd
from pyrunc.lifecycle.state import State
from pyrunc.lifecycle.status import open_pidfd


def kill(state: State, signal: int, *, all_processes: bool = False) -> None:
    """Send a signal to the container's init.

    SIGKILL to a container that shares its pid namespace kills all its processes, as the kernel
    does where init is pid 1. If there are none left that is no error, as with runc.

    Args:
        state: of the container.
        signal: number; 0 only checks.
        all_processes: `--all`: to all its processes, including those left in a stopped
            container; no error if there are none.

    Raises:
        ContainerNotRunning: it has no live init.
        KernelError: the signal was refused.
    """
    if all_processes or (signal == SIGKILL and not state.privatePid):
        cgroup = cgroups.open_cgroup(state.cgroup)
        if cgroup.exists:
            _signal_all(cgroup, state, signal)
            return
        # Without one the others are not known; pid 1 of a pid namespace takes them along.
    pidfd = open_pidfd(state)
    if pidfd is None:
        if all_processes:
            return
        raise ContainerNotRunning
    with pidfd:
        try:
            pidfd_send_signal(pidfd.fileno(), signal)
            if signal == SIGKILL:
                _thaw(state)
        except ProcessLookupError:
            raise ContainerNotRunning from None
        except (OSError, OverflowError) as error:
            number = error.errno if isinstance(error, OSError) else errno.EINVAL
            raise KernelError("unable to signal init", "", number or 0) from None


def _signal_all(cgroup: Cgroup, state: State, signal: int) -> None:
    # Init may have moved to another cgroup, and must not be missed silently.
    moved = None if state.pid in cgroup.pids() else open_pidfd(state)
    with moved or PidFd():
        try:
            if cgroup.populated():
                cgroup.signal(signal)
        except ProcessLookupError:
            return  # no process is left
        if moved:
            moved.send_signal(signal)


def _thaw(state: State) -> None:
    """A frozen process of a v1 hierarchy does not even die of SIGKILL."""
    cgroups.open_cgroup(state.cgroup).thaw()
