# SPDX-License-Identifier: Apache-2.0
"""Write limits to a cgroup's files, and see that the kernel took them.

The controllers' modules (memory, cpu, io, ...) say what to write; this one does it. It must not
know where a limit comes from. Each value is read back: a limit that was accepted and is not
enforced is a hole that goes unnoticed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from pyrunc.cgroups import tree
from pyrunc.errors import CgroupError, PyruncError

RESOURCES = "/linux/resources"

# How a value is compared with what the kernel reads back.
TEXT = "text"  # the same text
BYTES = "bytes"  # the same number of bytes, rounded down to the limit's unit
LIST = "list"  # the same set of numbers: "0,1" is "0-1"
SHARES = "shares"  # as TEXT, but the kernel clamps instead of refusing
FLAG = "flag"  # the first line of a "key value" file ends in it
PAIR = "pair"  # the same words; what follows them was not asked for
KEYED = "keyed"  # a line for a device each: "8:0 rbps=1", "lo 5", "mlx hca_handle=2"
WRITTEN = "written"  # not compared: the file reads in another form than it is written in

_NO_LIMIT = ("max", "-1")
_LONG_MAX = (1 << 63) - 1
_UNKNOWN = "unknown"  # the text of a file that cannot be read
# A device without a line has these values.
_UNSET = ("0", "max", "default")
_SUFFIXES = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}  # memparse() of the kernel


@dataclass(slots=True)
class Limit:
    """One value for one file.

    Args:
        file: name of the cgroup file.
        value: what to write.
        pointer: JSON pointer of what asked for it, below the resources object.
        compare: how to compare what is read back.
        unit: the kernel keeps multiples of this many bytes (BYTES); 0 is the page size.
        optional: a missing file is no error.
        defer: EINVAL may mean "not before the other values": then it is tried again last.
        hint: the likely reason where the kernel refuses the value.
    """

    file: str
    value: str
    pointer: str
    _: KW_ONLY
    compare: str = TEXT
    unit: int = 0
    optional: bool = False
    defer: bool = False
    hint: str = ""


@dataclass(slots=True)
class Target:
    """The cgroup that limits are written to.

    Args:
        directory: its descriptor, which stays the caller's.
        path: its path, for messages.
        base: JSON pointer of the resources object, for messages.
        missing: controller to the reason why it is not enabled there, where that is known.
        warnings: what is in force in another form than it was asked for is appended here.
    """

    directory: int
    path: str
    base: str = RESOURCES
    missing: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def write_all(target: Target, limits: Sequence[Limit]) -> None:
    """Write limits in their order and read each one back.

    Args:
        target: the cgroup.
        limits: what to write.

    Raises:
        CgroupError: the kernel refuses a value, or has no such file.
        PyruncError: the kernel keeps another value, or the controller is not there.
    """
    later = []
    for limit in limits:
        if not _write(target, limit, limit.defer):
            later.append(limit)
    for limit in later:
        _write(target, limit, False)


def _write(target: Target, limit: Limit, may_defer: bool) -> bool:
    """Write one limit. False: not accepted yet, to be tried again."""
    directory = target.directory
    try:
        if limit.compare in (WRITTEN, KEYED):
            # Files like io.max take one line per write(2).
            for line in limit.value.split("\n"):
                tree.write(directory, limit.file, line)
            if limit.compare == WRITTEN:
                return True
            got = tree.read(directory, limit.file)
        else:
            got = tree.exchange(directory, limit.file, limit.value)
    except OSError as error:
        if error.errno == errno.ENOENT and limit.optional:
            return True
        if error.errno == errno.EINVAL and may_defer:
            return False
        raise _refused(target, limit, error) from error
    if limit.compare == LIST and expand(limit.value) is None:
        # The kernel has taken it, and knows more forms than we do.
        target.warnings.append(
            f"{target.base}{limit.pointer}: the kernel makes {got or 'nothing'} of {limit.value}"
        )
    elif not same(limit.compare, limit.value, got, limit.unit):
        raise _not_kept(target, limit, got)
    return True


def _refused(target: Target, limit: Limit, error: OSError) -> PyruncError:
    number = error.errno or errno.EIO
    pointer = target.base + limit.pointer
    if number == errno.EBUSY and limit.file == "memory.limit_in_bytes":
        usage = _peek(target.directory, "memory.usage_in_bytes")
        peak = _peek(target.directory, "memory.max_usage_in_bytes")
        return PyruncError(
            f"unable to set memory limit to {limit.value} "
            f"(current usage: {usage}, peak usage: {peak})",
            pointer=pointer,
        )
    hint = limit.hint
    if number in (errno.ENOENT, errno.EACCES, errno.EPERM) and not _exists(target, limit.file):
        controller = limit.file.partition(".")[0]
        enabled = _peek(target.directory, "cgroup.controllers")  # v2 only
        if enabled != _UNKNOWN and controller not in (*enabled.split(), "cgroup"):
            return PyruncError(
                f"the {controller} controller is not available in {target.path}",
                pointer=pointer,
                hint=target.missing.get(controller, ""),
            )
        hint = "the kernel has no such file: it is too old, or built without it"
    return CgroupError(
        f"write {limit.value} to",
        "write",
        number,
        f"{target.path}/{limit.file}",
        pointer=pointer,
        hint=hint,
    )


def _not_kept(target: Target, limit: Limit, got: str) -> PyruncError:
    pointer = target.base + limit.pointer
    if limit.compare == SHARES and got.isdigit():
        # runc's text, which users know: the kernel clamps shares silently.
        edge = "maximum" if int(limit.value) > int(got) else "minimum"
        return PyruncError(f"the {edge} allowed cpu-shares is {got}", pointer=pointer)
    return PyruncError(
        f"{target.path}/{limit.file}: wanted {limit.value}, the kernel keeps {got}",
        pointer=pointer,
    )


def _peek(directory: int, name: str) -> str:
    try:
        return tree.read(directory, name)
    except OSError:
        return _UNKNOWN


def _exists(target: Target, name: str) -> bool:
    return os.access(name, os.F_OK, dir_fd=target.directory)


def same(compare: str, wanted: str, got: str, unit: int = 0) -> bool:
    """Whether what the kernel reads back is what was written.

    Args:
        compare: one of the constants above.
        wanted: what was written.
        got: what the file says, stripped.
        unit: of BYTES: the kernel keeps multiples of it; 0 is the page size.
    """
    if wanted == got:
        return True
    if compare == BYTES:
        return _same_bytes(wanted, got, unit or os.sysconf("SC_PAGESIZE"))
    if compare == KEYED:
        return _same_lines(wanted, got)
    if compare == LIST:
        return expand(wanted) is not None and expand(wanted) == expand(got)
    if compare == PAIR:
        words = wanted.split()
        return got.split()[: len(words)] == words
    first = got.split("\n", 1)[0]
    return compare == FLAG and (first == wanted or first.endswith(" " + wanted))


def _same_bytes(wanted: str, got: str, unit: int) -> bool:
    # The kernel counts pages; from here on it reads as "max" on v2 and as this number on v1.
    most = _LONG_MAX // unit * unit
    try:
        asked = most if wanted in _NO_LIMIT else min(size(wanted) // unit * unit, most)
        kept = most if got in _NO_LIMIT else min(int(got), most)
    except ValueError:
        return False
    return asked == kept


def _same_lines(wanted: str, got: str) -> bool:
    kept = dict(line.partition(" ")[::2] for line in got.splitlines())
    for line in wanted.split("\n"):
        device, _, values = line.partition(" ")
        # io.max keeps no line for a device when all of its values are "max".
        words = kept[device].split() if device in kept else None
        for value in values.split():
            is_default = words is None and value.rpartition("=")[2] in _UNSET
            if not is_default and value not in (words or ()):
                return False
    return True


def size(text: str) -> int:
    """A number of bytes as the kernel reads it, "1G" for one.

    Raises:
        ValueError: it is not a number of bytes.
    """
    shift = _SUFFIXES.get(text[-1:].upper(), 0)
    return int(text[:-1] if shift else text) << shift


# Far more than a kernel can have; a range with more in it is not what was written.
_MOST_NUMBERS = 1 << 16
_POSSIBLE = "/sys/devices/system/cpu/possible"


def expand(text: str, last: int = -1) -> set[int] | None:
    """The numbers in a list like "0-2,4", None when it is not one.

    The grammar is that of bitmap_parselist() in the kernel's lib/bitmap-str.c: "N" is the last
    number there can be, "all" is "0-N", and "0-7:2/4" are the first two of each four.

    Args:
        text: the list.
        last: what "N" is; -1 asks the host for its last processor.
    """
    numbers: set[int] = set()
    for part in text.replace(",", " ").split():
        if last < 0 and ("N" in part or part[:3].lower() == "all"):
            last = _last_processor()
        region, colon, pattern = part.partition(":")
        region = "0-N" if region.lower() == "all" else region
        first, dash, end = region.partition("-")
        used, slash, group = pattern.partition("/")
        if colon and not (dash and slash):
            return None
        words = (first, end if dash else first, used if colon else "1", group if colon else "1")
        found = [last if w == "N" else int(w) if w.isascii() and w.isdigit() else -1 for w in words]
        low, high, taken, of = found
        if min(found) < 0 or not low <= high < _MOST_NUMBERS or not 0 <= taken <= of or not of:
            return None
        numbers.update(n for n in range(low, high + 1) if (n - low) % of < taken)
    return numbers


def _last_processor() -> int:
    try:
        with open(_POSSIBLE, encoding="ascii") as file:
            return max(expand(file.read()) or {-1})
    except OSError:
        return -1
