# SPDX-License-Identifier: Apache-2.0
"""Removal of cgroups that rmdir(2) does not remove at once.

They have processes that are still dying, or cgroups below them. This module must not decide
whether anything may be killed: the caller says so by what it passes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from pyrunc.cgroups import tree
from pyrunc.errors import CgroupError
from pyrunc.kernel.descriptor import opened

# Removal is tried for at least 5 s before it is an error.
OWNED_SECONDS = 5.0
# As long as each round removes some of them: a container may have made tens of thousands.
MOST_SECONDS = 120.0
# What is not owned is not killed; a process of ours that got there dies by itself.
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
        CgroupError: of the first one that stays.
    """
    seconds = UNOWNED_SECONDS if kill is None else OWNED_SECONDS
    last_end = time.monotonic() + MOST_SECONDS
    end = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        if kill is not None:
            # Again each time: a process may fork between the signal and its arrival.
            kill()
        found = {path: _remove(path, kill is not None) for path in directories}
        directories = [path for path, (_, error) in found.items() if error]
        last = next((error for _, error in found.values() if error), None)
        if last is None:
            return
        if any(removed for removed, _ in found.values()):
            end = min(time.monotonic() + seconds, last_end)
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
        except OSError as error:
            if tree.is_gone(path):
                continue
            left.append(f"left behind: {path}: {error.strerror}")
    return left


def _remove(path: str, below: bool) -> tuple[int, CgroupError | None]:
    """Remove one directory, with those below it if asked to.

    Returns:
        How many below it were removed, and why it stays, if it does.
    """
    removed = 0
    try:
        if below:
            with opened(path, tree.DIRECTORY) as directory:
                removed, first = tree.remove_below(directory.fileno())
            if first:
                raise first
        os.rmdir(path)
    except OSError as error:
        if tree.is_gone(path):
            return removed, None
        return removed, tree.failure("remove cgroup", "rmdir", error, path)
    return removed, None
