# SPDX-License-Identifier: Apache-2.0
"""Write limits to a cgroup's files, and see that the kernel took them.

The controllers' files (memory, cpu, cpuset, pids, unified) say what to write; this one does
it. It must not know where a limit comes from. Each value is read back (security.md R7): a
limit that was accepted and not enforced is a hole that nobody notices.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import tree
from pyrunc.errors import CgroupError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

POINTER = "/linux/resources"

# How a value is compared with what the kernel reads back.
TEXT = "text"  # the same text
BYTES = "bytes"  # the same number of pages
LIST = "list"  # the same set of numbers: "0,1" is "0-1"
SHARES = "shares"  # as TEXT, but the kernel clamps instead of refusing
FLAG = "flag"  # the first line of a "key value" file ends in it
WRITTEN = "written"  # not compared: the file reads in another form than it is written in

_NO_LIMIT = ("max", "-1")
_LONG_MAX = (1 << 63) - 1


class Limit:
    """One value for one file.

    Args:
        file: name of the cgroup file.
        value: what to write.
        pointer: JSON pointer below /linux/resources of what asked for it.
        compare: how to compare what is read back.
        optional: a missing file is no error.
        defer: EINVAL may mean "not before the other values": then it is tried again last.
    """

    __slots__ = ("compare", "defer", "file", "optional", "pointer", "value")

    def __init__(  # a row of a table, always written with names
        self,
        file: str,
        value: str,
        pointer: str,
        *,
        compare: str = TEXT,
        optional: bool = False,
        defer: bool = False,
    ) -> None:
        self.file = file
        self.value = value
        self.pointer = POINTER + pointer
        self.compare = compare
        self.optional = optional
        self.defer = defer

    def __repr__(self) -> str:
        return f"Limit({self.file!r}, {self.value!r})"


def write_all(directory: int, path: str, limits: Sequence[Limit]) -> None:
    """Write limits in their order and read each one back.

    Args:
        directory: descriptor of the cgroup.
        path: its path, for messages.
        limits: what to write.

    Raises:
        CgroupError: the kernel refuses a value, or has no such file.
        PyruncError: the kernel keeps another value.
    """
    later = []
    for limit in limits:
        if not _write(directory, path, limit, limit.defer):
            later.append(limit)
    for limit in later:
        _write(directory, path, limit, False)


def _write(directory: int, path: str, limit: Limit, may_defer: bool) -> bool:
    """Write one limit. False: not accepted yet, to be tried again."""
    try:
        if limit.compare == WRITTEN:
            # Files like io.max take one line per write(2).
            for line in limit.value.split("\n"):
                tree.write(directory, limit.file, line)
            return True
        got = tree.exchange(directory, limit.file, limit.value)
    except OSError as error:
        if error.errno == errno.ENOENT and limit.optional:
            return True
        if error.errno == errno.EINVAL and may_defer:
            return False
        raise _refused(directory, path, limit, error) from error
    if not same(limit.compare, limit.value, got):
        raise _not_kept(path, limit, got)
    return True


def _refused(directory: int, path: str, limit: Limit, error: OSError) -> PyruncError:
    number = error.errno or errno.EIO
    if number == errno.EBUSY and limit.file == "memory.limit_in_bytes":
        usage = _peek(directory, "memory.usage_in_bytes")
        peak = _peek(directory, "memory.max_usage_in_bytes")
        return PyruncError(
            f"unable to set memory limit to {limit.value} "
            f"(current usage: {usage}, peak usage: {peak})",
            pointer=limit.pointer,
        )
    hint = ""
    if number in (errno.ENOENT, errno.EACCES, errno.EPERM) and not _exists(directory, limit.file):
        controller = limit.file.partition(".")[0]
        hint = f"the {controller} controller is not enabled there, or the kernel is too old"
    return CgroupError(
        f"write {limit.value} to",
        "write",
        number,
        f"{path}/{limit.file}",
        pointer=limit.pointer,
        hint=hint,
    )


def _not_kept(path: str, limit: Limit, got: str) -> PyruncError:
    if limit.compare == SHARES and got.isdigit():
        # runc's words, which users know: the kernel clamps shares silently.
        edge = "maximum" if int(limit.value) > int(got) else "minimum"
        return PyruncError(f"the {edge} allowed cpu-shares is {got}", pointer=limit.pointer)
    return PyruncError(
        f"{path}/{limit.file}: wanted {limit.value}, the kernel keeps {got}",
        pointer=limit.pointer,
    )


def _peek(directory: int, name: str) -> str:
    try:
        return tree.read(directory, name)
    except OSError:
        return "unknown"


def _exists(directory: int, name: str) -> bool:
    return os.access(name, os.F_OK, dir_fd=directory)


def same(compare: str, wanted: str, got: str) -> bool:
    """Whether what the kernel reads back is what was written.

    Args:
        compare: one of the constants above.
        wanted: what was written.
        got: what the file says, stripped.
    """
    if wanted == got:
        return True
    if compare == BYTES:
        return _same_bytes(wanted, got)
    if compare == LIST:
        return expand(wanted) is not None and expand(wanted) == expand(got)
    if compare == FLAG:
        return got.split("\n", 1)[0].endswith(" " + wanted)
    return False


def _same_bytes(wanted: str, got: str) -> bool:
    page = os.sysconf("SC_PAGESIZE")
    # The kernel counts pages; from here on it reads as "max" on v2 and as this number on v1.
    most = _LONG_MAX // page * page
    try:
        asked = most if wanted in _NO_LIMIT else min(int(wanted) // page * page, most)
        kept = most if got in _NO_LIMIT else int(got)
    except ValueError:
        return False
    return asked == kept


# Far more than a kernel can have; a range with more in it is not what was written.
_MOST_NUMBERS = 1 << 16


def expand(text: str) -> set[int] | None:
    """The numbers in a list like "0-2,4", None when it is not one."""
    numbers: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        first, dash, last = part.strip().partition("-")
        if not first and not dash:
            continue
        try:
            low = int(first)
            high = int(last) if dash else low
        except ValueError:
            return None
        if not 0 <= low <= high < _MOST_NUMBERS:
            return None
        numbers.update(range(low, high + 1))
    return numbers
