# SPDX-License-Identifier: Apache-2.0
"""Moving a process into a cgroup from outside. Must not decide which cgroup."""

from __future__ import annotations

import errno
import time

from pyrunc.cgroups import tree
from pyrunc.cgroups.driver import POINTER

# A task that clone3 has made but not woken up yet cannot be moved: EINVAL.
_TRIES = 5
_PAUSE = 0.03


def move(directory: int, path: str, pid: int) -> None:
    """Move a process, with all its threads.

    Args:
        directory: descriptor of the cgroup.
        path: its path, for messages.
        pid: the process.

    Raises:
        CgroupError: the kernel refuses.
    """
    for left in range(_TRIES, 0, -1):
        try:
            tree.write(directory, "cgroup.procs", str(pid))
        except OSError as error:
            if error.errno == errno.EINVAL and left > 1:
                time.sleep(_PAUSE)
                continue
            place = f"{path}/cgroup.procs"
            raise tree.failure("join cgroup", "write", error, place, POINTER) from error
        return
