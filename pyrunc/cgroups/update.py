# SPDX-License-Identifier: Apache-2.0
"""Other limits for a cgroup that is in use: all of them, or none.

The kernel is asked for the old ones, not the state: a limit that was never set has a value too,
and another may have changed one. This module must not know where a limit comes from.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from pyrunc.cgroups import tree, write
from pyrunc.cgroups.cgroup import Cgroup, Rows
from pyrunc.cgroups.write import Limit
from pyrunc.errors import PyruncError, errno_text
from pyrunc.spec.model_resources import Resources

# Files that the kernel resets when another one is written.
_ALONG = {"cpu.idle": ("cpu.weight", "cpu.shares")}
# One value may be accepted only after another one.
_ROUNDS = 3


def update(cgroup: Cgroup, resources: Resources, commit: Callable[[], None]) -> list[str]:
    """Set limits that `cgroup.check_limits` has seen: all of them, or none.

    Args:
        cgroup: the container's.
        resources: what is to change; what is absent stays as it is. Messages name a value by its
            place in this object.
        commit: called when all are in force. If it fails they are taken back, too.

    Returns:
        Warnings, a line each.

    Raises:
        CgroupError: the kernel refuses a value.
        PyruncError: it keeps another value than the one written, or `commit` raised this.
            The old values are in force again; the hint says so where one is not.
    """
    rows = cgroup.plan_limits(resources, "")
    saved = Saved(cgroup, rows)
    warnings: list[str] = []
    rollback = None
    try:
        rollback = cgroup.report(resources)
        for index, limits in rows:
            warnings += cgroup.put(index, limits, "")
        commit()
    except BaseException as error:
        problems = saved.restore()
        try:
            if rollback:
                rollback()
        except PyruncError as second:
            problems.append(str(second))
        if problems and isinstance(error, PyruncError):
            error.hint = "not put back: " + "; ".join(problems)
        raise
    return warnings


class Saved:
    """Files of limits, and what they held.

    Args:
        cgroup: the cgroup, which has to stay open.
        rows: the limits that are to be written.

    Raises:
        CgroupError: a file is there and cannot be read.
    """

    def __init__(self, cgroup: Cgroup, rows: Rows) -> None:
        self._rows: list[tuple[int, str, str, str, list[str]]] = []
        for index, limits in rows:
            directory, path = cgroup.dirs.open(index), cgroup.directories[index]
            for limit in limits:
                self._save(directory, path, limit.file, limit)
                for name in _ALONG.get(limit.file, ()):
                    self._save(directory, path, name, None)

    def _save(self, directory: int, path: str, name: str, limit: Limit | None) -> None:
        try:
            text = tree.read(directory, name)
        except OSError as error:
            # A file that is not there (or only written to) is the write's to complain about.
            if error.errno in (errno.ENOENT, errno.EINVAL, errno.EACCES):
                return
            raise tree.failure("read", "read", error, f"{path}/{name}") from error
        values = _values(text, limit) if limit else [text]
        self._rows.append((directory, path, name, text, values))

    def restore(self) -> list[str]:
        """Write the old values where they have changed, in reverse.

        Returns:
            What could not be restored, and why; a line each.
        """
        left = self._rows[::-1]
        problems: list[str] = []
        for _ in range(_ROUNDS):
            again, problems = [], []
            for row in left:
                problem = _restore(*row)
                if problem:
                    again.append(row)
                    problems.append(problem)
            if not again:
                break
            left = again
        return problems


def _restore(directory: int, path: str, name: str, text: str, values: list[str]) -> str:
    try:
        if tree.read(directory, name) == text:
            return ""
        for value in values:
            # A write of nothing would not reach the kernel.
            tree.write(directory, name, value or "\n")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return ""  # the cgroup is gone, and its limits with it
        return f"{os.path.join(path, name)}: {errno_text(error.errno or errno.EIO)}"
    return ""


def _values(text: str, limit: Limit) -> list[str]:
    """What has to be written to a file that read as `text`, to undo one limit."""
    if limit.compare == write.FLAG:
        return [text.split("\n", 1)[0].rpartition(" ")[2]]
    if limit.compare == write.KEYED:
        rows = dict(line.partition(" ")[::2] for line in text.splitlines())
        found = []
        for line in limit.value.split("\n"):
            device, _, values = line.partition(" ")
            old = rows.get(device)
            found.append(f"{device} {_unset(limit.file, values) if old is None else old}")
        return found
    if limit.compare == write.WRITTEN:
        return text.splitlines() or [""]
    return [text]


def _unset(file: str, values: str) -> str:
    """The values of a device that had no line."""
    if "=" not in values:
        return "default" if "weight" in file and file.startswith("io.") else "0"
    keys = (word.partition("=")[0] for word in values.split())
    return " ".join(f"{key}={'0' if key == 'target' else 'max'}" for key in keys)
