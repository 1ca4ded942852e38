# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt: cache and memory bandwidth through resctrl (config-linux.md, "IntelRdt"; the
kernel's resctrl.rst).

What is made is noted in the journal first, and in the state: the command that deletes the
container is another process than the one that created it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pyrunc.errors import KernelError, PyruncError, SpecError, reported
from pyrunc.kernel.descriptor import opened
from pyrunc.spec.model_linux import IntelRdt

POINTER = "/linux/intelRdt"
_MOUNTED = "/sys/fs/resctrl"
_ROOT_GROUP = "/"


def find() -> str:
    """Where resctrl is mounted.

    Raises:
        PyruncError: it is not.
    """
    path = "/proc/self/mountinfo"
    with (
        reported("read", "", path, pointer=POINTER),
        open(path, encoding="utf-8", errors="surrogateescape") as file,
    ):
        found = [line.split(" ")[4] for line in file if " - resctrl " in line]
    if found:
        return found[0]
    raise PyruncError(
        "resctrl is not mounted",
        pointer=POINTER,
        hint=f"mount -t resctrl resctrl {_MOUNTED}; the processor may not support it",
    )


class Group:
    """A container's group in resctrl.

    Args:
        top: where resctrl is mounted.
        directory: the group, below it.
        made: whether it has to be made.
        owned: whether it is this container's alone, and is removed with it. A group with a
            closID is shared, and stays (config-linux.md, intelRdt).
        monitor: the monitoring group, "" without.
        lines: of its schemata file, written when it is made.
    """

    __slots__ = ("_fresh", "directory", "lines", "made", "monitor", "owned", "top")

    def __init__(  # members of the state, passed by name
        self,
        *,
        top: str,
        directory: str,
        made: bool,
        owned: bool,
        monitor: str,
        lines: tuple[str, ...] = (),
    ) -> None:
        self.top = top
        self.directory = directory
        self.made = made
        self.owned = owned
        self.monitor = monitor
        self.lines = lines
        self._fresh: list[str] = []

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for the journal and the state."""
        names = ("directory", "made", "monitor", "owned", "top")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Group:
        """From what `to_dict` returned."""
        return cls(**data)

    def create(self) -> None:
        """Make the group and write its schemata.

        Raises:
            SpecError: it exists with another schema.
            KernelError: the kernel refuses; with its reason (info/last_cmd_status).
        """
        if self.made:
            self._make(self.directory)
        self._write_schema()
        if self.monitor:
            self._make(self.monitor)

    def _make(self, directory: str) -> None:
        self._try("make", os.mkdir, directory)
        self._fresh.append(directory)

    def undo(self) -> None:
        """Remove what this object has made, and nothing else."""
        while self._fresh:
            _remove(self._fresh.pop())

    def _write_schema(self) -> None:
        lines = self.lines
        if not lines:
            return
        if not self.made:
            now = self.schema()
            if any(not _holds(now, line) for line in lines):
                raise SpecError(
                    f"{self.directory} exists with another schema", pointer=f"{POINTER}/closID"
                )
            return
        self.set_schema(lines)

    def schema(self) -> str:
        """The text of its schemata file."""
        return _read(f"{self.directory}/schemata")

    def set_schema(self, lines: Sequence[str]) -> None:
        """Change its schemata.

        Args:
            lines: of a schemata file; resources without one stay as they are.

        Raises:
            KernelError: the kernel refuses.
        """
        text = "".join(f"{line}\n" for line in lines)
        self._try("write", _write, f"{self.directory}/schemata", text)

    def join(self, pid: int) -> None:
        """Put a process in, and so all that it will start."""
        for directory in (self.directory, self.monitor):
            if directory:
                self._try("join", _write, f"{directory}/tasks", str(pid))

    def remove(self) -> None:
        """Remove what was made, if it is still there; a shared group stays."""
        for directory in (self.monitor, self.directory if self.owned else ""):
            if directory:
                _remove(directory)

    def _try(self, step: str, call: Any, path: str, *rest: str) -> None:
        try:
            call(path, *rest)
        except OSError as error:
            said = _read(f"{self.top}/info/last_cmd_status").strip()
            raise KernelError(
                step, call.__name__.strip("_"), error.errno or 0, path, pointer=POINTER,
                hint=said if said != "ok" else "",
            ) from None  # fmt: skip


def _remove(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError as error:
        if not os.path.lexists(directory):  # on a read-only mount rmdir(2) reports that first
            return
        raise KernelError("remove", "rmdir", error.errno or 0, directory, pointer=POINTER) from None


def plan(wanted: IntelRdt, container_id: str, top: str) -> Group:
    """The group that a container asks for. Has no effects.

    Args:
        wanted: linux.intelRdt.
        container_id: the group's name without a closID.
        top: from `find`.

    Raises:
        PyruncError: the group has to exist and does not, or the hardware lacks the resource.
    """
    name = wanted.closID or container_id
    directory = top if name == _ROOT_GROUP else f"{top}/{name}"
    asks = bool(wanted.l3CacheSchema or wanted.memBwSchema or wanted.schemata)
    exists = os.path.isdir(directory)
    if wanted.closID and not asks and not exists:
        raise PyruncError(
            f'there is no group "{name}", and no schema to make one', pointer=f"{POINTER}/closID"
        )
    for schema, resource, pointer in (
        (wanted.l3CacheSchema, "L3", "l3CacheSchema"),
        (wanted.memBwSchema, "MB", "memBwSchema"),
    ):
        if schema and not os.path.isdir(f"{top}/info/{resource}"):
            raise PyruncError(
                f"this processor cannot allocate {resource}", pointer=f"{POINTER}/{pointer}"
            )
    monitor = f"{directory}/mon_groups/{container_id}" if wanted.enableMonitoring else ""
    lines = (wanted.l3CacheSchema, wanted.memBwSchema, *wanted.schemata)
    return Group(
        top=top,
        directory=directory,
        made=not exists,
        owned=not wanted.closID and not exists,
        monitor=monitor,
        lines=tuple(line for line in lines if line),
    )


def _holds(text: str, line: str) -> bool:
    """Whether a schemata file says what a line asks for: "L3:0=f" is "    L3:0=0f;1=ff"."""
    resource, _, asked = line.partition(":")
    for row in text.splitlines():
        name, _, values = row.strip().partition(":")
        if name == resource.strip():
            now = dict(_pairs(values))
            return all(now.get(key) == value for key, value in _pairs(asked))
    return False


def _pairs(text: str) -> list[tuple[str, str]]:
    found = []
    for part in text.split(";"):
        key, _, value = part.strip().partition("=")
        found.append((key.strip(), value.strip().lower().lstrip("0") or "0"))
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with opened(path, os.O_WRONLY) as file:
        os.write(file.fileno(), text.encode())
