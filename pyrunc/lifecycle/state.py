# SPDX-License-Identifier: Apache-2.0
"""The saved state of a container: the members of state.json, their version and their reader.

This module does not know where the file is (store.py does), nor does it ask the kernel: a status
is never saved.
"""

# The names are the file's (N815), as those of spec/model.py are the specification's.
# ruff: noqa: N815

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from pyrunc.errors import PyruncError

VERSION = 1


@dataclass
class State:
    """One container, from its creation to its deletion.

    Attributes:
        id: its id.
        ociVersion: of its config.json.
        bundle: absolute path of its bundle.
        rootfs: absolute path of its root filesystem.
        annotations: of its config.json.
        hooks: of its config.json, as JSON values.
        resources: its limits as JSON values, the base of later updates.
        notify: whether its program may report that it is ready (sd_notify(3)).
        keyring: whether its processes have a session keyring of their own.
        stdio: the targets of its standard streams, as readlink(2) names them.
        privatePid: whether it has a pid namespace of its own.
        config: absolute path of the file read instead of the bundle's config.json, or "".
        resctrl: its resctrl group, or None.
        pid: of its init; 0 until it is saved.
        startTime: of its init, in clock ticks since the boot (proc_pid_stat(5)).
        boot: which boot that was, or "".
        created: when, as RFC 3339 has it.
        cgroup: its cgroup, as `cgroups.open_cgroup` reads it.
    """

    id: str
    ociVersion: str
    bundle: str
    rootfs: str
    annotations: dict[str, str]
    hooks: dict[str, Any]
    resources: dict[str, Any] = field(default_factory=dict)
    notify: bool = False
    keyring: bool = True
    stdio: list[str] = field(default_factory=list)
    privatePid: bool = False
    config: str = ""
    resctrl: dict[str, Any] | None = None
    pid: int = 0
    startTime: int = 0
    boot: str = ""
    created: str = ""
    cgroup: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: object, path: str) -> State:
        """Read a state that this version or an earlier one has written.

        Args:
            raw: the JSON value.
            path: of the file, for messages.

        Raises:
            PyruncError: it is damaged, or of a later version.
        """
        if not isinstance(raw, dict):
            raise _damaged(path)
        version = raw.pop("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise PyruncError(
                f"{path} has version {version}, but this pyrunc supports {VERSION} at most",
                hint="use the pyrunc that made the container",
            )
        if not raw.keys() <= _MEMBERS:
            raw = {name: value for name, value in raw.items() if name in _MEMBERS}
        if tuple(map(type, map(raw.get, _NEEDED))) != _KINDS or not raw["pid"]:
            raise _damaged(path)
        return cls(**raw)

    def to_json(self) -> dict[str, Any]:
        """The members as JSON values; rare ones only where they are set."""
        found = {"version": VERSION, **self.__dict__}
        for name in ("config", "resctrl"):
            if not found[name]:
                del found[name]
        return found


_MEMBERS = frozenset(member.name for member in fields(State))
# What no command could do without.
_NEEDED, _KINDS = zip(
    ("id", str), ("ociVersion", str), ("bundle", str), ("rootfs", str), ("annotations", dict),
    ("hooks", dict), ("pid", int), ("startTime", int), ("created", str), ("cgroup", dict),
    strict=True,
)  # fmt: skip


def _damaged(path: str) -> PyruncError:
    return PyruncError(f"{path} is damaged", hint="pyrunc delete --force")
