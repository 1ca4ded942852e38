# SPDX-License-Identifier: Apache-2.0
"""What the files of limits held before an update, and the way back to it.

The kernel is asked, not the state: a limit that was never set has a value too, and somebody else
may have changed one. This module must not know where a limit comes from.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import limits, tree
from pyrunc.errors import errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.limits import Limit

# Files that the kernel resets when another one is written.
_ALONG = {"cpu.idle": ("cpu.weight", "cpu.shares")}
# One value may be accepted only after another one.
_ROUNDS = 3


class Saved:
    """Files and what they held.

    Args:
        groups: for each hierarchy the cgroup's descriptor, which has to stay open, its path,
            and the limits that are to be written there.

    Raises:
        CgroupError: a file is there and cannot be read.
    """

    __slots__ = ("_rows",)

    def __init__(self, groups: Sequence[tuple[int, str, Sequence[Limit]]]) -> None:
        self._rows: list[tuple[int, str, str, str, list[str]]] = []
        for directory, path, wanted in groups:
            for limit in wanted:
                for name in (limit.file, *_ALONG.get(limit.file, ())):
                    self._save(directory, path, name, limit if name == limit.file else None)

    def _save(self, directory: int, path: str, name: str, limit: Limit | None) -> None:
        try:
            text = tree.read(directory, name)
        except OSError as error:
            # A file that is not there (or only written to) is the write's to complain of.
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
    if limit.compare == limits.FLAG:
        return [text.split("\n", 1)[0].rpartition(" ")[2]]
    if limit.compare == limits.KEYED:
        rows = dict(line.partition(" ")[::2] for line in text.splitlines())
        found = []
        for line in limit.value.split("\n"):
            device, _, values = line.partition(" ")
            old = rows.get(device)
            found.append(f"{device} {_unset(limit.file, values) if old is None else old}")
        return found
    if limit.compare == limits.WRITTEN:
        return text.splitlines() or [""]
    return [text]


def _unset(file: str, values: str) -> str:
    """The values of a device that had no line."""
    if "=" not in values:
        return "default" if "weight" in file and file.startswith("io.") else "0"
    keys = (word.partition("=")[0] for word in values.split())
    return " ".join(f"{key}={'0' if key == 'target' else 'max'}" for key in keys)
