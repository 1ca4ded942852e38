# SPDX-License-Identifier: Apache-2.0
"""Removal of cgroups that rmdir(2) does not remove at once.

They have processes that are still dying, or cgroups below them. This module must not decide
whether anything may be killed: the driver says so by what it passes.
"""

from __future__ import annotations

import errno
import os
import time

from pyrunc.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.errors import CgroupError

# security.md section 2.11: removal is tried for at least 5 s before it is an error.
OWNED_SECONDS = 5.0
# Without ownership there is nobody to kill; a process of ours that got there dies by itself.
UNOWNED_SECONDS = 0.5
_FIRST_PAUSE = 0.0005
_LAST_PAUSE = 0.1


def remove(directories: list[str], kill: Callable[[], None] | None) -> None:
    """Remove directories, trying again while they are busy.

    Args:
        directories: their paths.
        kill: kills all processes in them. None: they are not ours, so that nothing below
            them is removed either, and those that stay busy stay.

    Raises:
        CgroupError: of the last one that stays.
    """
    end = time.monotonic() + (UNOWNED_SECONDS if kill is None else OWNED_SECONDS)
    pause = _FIRST_PAUSE
    while True:
        if kill is not None:
            # Again each time: a process may fork between the signal and its arrival.
            kill()
        failures = {path: _remove(path, kill is not None) for path in directories}
        directories = [path for path, error in failures.items() if error]
        last = next((error for error in failures.values() if error), None)
        if last is None:
            return
        if time.monotonic() > end:
            break
        time.sleep(pause)
        pause = min(pause * 2, _LAST_PAUSE)
    if kill is not None or last.errno != errno.EBUSY:
        raise last


def unmake(made: list[str]) -> list[str]:
    """Remove directories that were made a moment ago, the last one first.

    Args:
        made: their paths; emptied.

    Returns:
        What is left behind and why, a line each.
    """
    left = []
    while made:
        path = made.pop()
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"left behind: {path}: {error.strerror}")
    return left


def _remove(path: str, below: bool) -> CgroupError | None:
    """Remove one directory, with those below it if asked to. The failure, or None."""
    try:
        if below:
            fd = os.open(path, tree.DIRECTORY)
            try:
                tree.remove_below(fd)
            finally:
                os.close(fd)
        os.rmdir(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return tree.failure("remove cgroup", "rmdir", error, path)
    return None
