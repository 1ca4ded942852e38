# SPDX-License-Identifier: Apache-2.0
"""`kill`: send a signal to a container."""

from __future__ import annotations

import os
from _signal import pidfd_send_signal

from pyrunc.errors import ContainerNotRunning, KernelError
from pyrunc.lifecycle.status import open_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIGKILL = 9


def kill(state: dict[str, Any], signal: int, *, everything: bool = False) -> None:
    """Send a signal to the container's init.

    SIGKILL to a container that shares its pid namespace ends all its processes: the kernel only
    does that where init is pid 1.

    Args:
        state: of the container.
        signal: number; 0 only asks.
        everything: `--all`: a stopped container is no error, and leftovers are killed.

    Raises:
        ContainerNotRunning: it has no live init.
        KernelError: the signal was refused.
    """
    shared = not state["privatePid"]
    if signal == _SIGKILL and (shared or everything):
        return _kill_all(state, everything)
    pidfd = open_pidfd(state)
    if pidfd < 0:
        if everything:
            return None
        raise ContainerNotRunning
    try:
        pidfd_send_signal(pidfd, signal)
        if signal == _SIGKILL:
            _thaw(state)
    except ProcessLookupError:
        raise ContainerNotRunning from None
    except OSError as error:
        raise KernelError("unable to signal init", "", error.errno or 0) from None
    finally:
        os.close(pidfd)
    return None


def _kill_all(state: dict[str, Any], everything: bool) -> None:
    from pyrunc import cgroups

    cgroup = cgroups.from_dict(state["cgroup"])
    if not cgroup.populated():
        if everything:
            return
        raise ContainerNotRunning("unable to kill all processes: container not running")
    cgroup.kill()


def _thaw(state: dict[str, Any]) -> None:
    """A frozen process of a v1 hierarchy does not see even SIGKILL."""
    from pyrunc import cgroups

    cgroups.from_dict(state["cgroup"]).thaw()
