# SPDX-License-Identifier: Apache-2.0
"""Notice of what is removed from a directory: inotify(7), which Python's os module lacks."""

from __future__ import annotations

import os

from pyrunc.kernel._core import lib

_ROOM = 65536


def removals(directory: str) -> int:
    """Watch a directory.

    Args:
        directory: its path.

    Returns:
        A descriptor that can be read after something was removed from it, the caller's to
        close.

    Raises:
        OSError: of inotify_init1(2) or inotify_add_watch(2); EMFILE is the limit
            fs.inotify.max_user_instances.
    """
    fd = int(lib.pyrunc_watch_removals(os.fsencode(directory)))
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd), directory)
    return fd


def drain(fd: int) -> None:
    """Take the notices that have come, so that the descriptor waits for the next one."""
    try:
        while os.read(fd, _ROOM):
            pass
    except BlockingIOError:
        return
