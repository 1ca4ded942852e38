# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: the part that every platform has.

Attribute names are the JSON names (`spec.process.noNewPrivileges`), so that the
specification, the config.json and the code speak of one thing in one word. An absent or null
member is None, () for a list, {} for a map and False for a boolean. This module holds types
only: it must not judge values (check.py does) nor read files.
"""

# The names are the specification's.
# ruff: noqa: N815

from __future__ import annotations

from dataclasses import field
from typing import Any

from pyrunc.spec.fields import (
    BOOL,
    INT32,
    INT64,
    SECRET_MAP,
    SECRETS,
    SECRETS_OR_NONE,
    STRING,
    STRINGS,
    UINT32,
    UINT64,
    Model,
    json_object,
    many,
    one,
    one_or_empty,
    optional,
    required,
)
from pyrunc.spec.model_linux import IDMapping, Linux


@json_object
class Root(Model):
    """The container's root filesystem."""

    path: str = required(STRING)
    readonly: bool = optional(BOOL)


@json_object
class User(Model):
    """Whom the process runs as, in the container's numbers."""

    # Required by the text, zero when missing in every runtime.
    uid: int = optional(UINT32, 0)
    gid: int = optional(UINT32, 0)
    umask: int | None = optional(UINT32)
    additionalGids: tuple[int, ...] = optional(many(UINT32))


@json_object
class ConsoleSize(Model):
    """The terminal's size in characters."""

    height: int = required(UINT64)
    width: int = required(UINT64)


@json_object
class Capabilities(Model):
    """The five capability sets, by name."""

    bounding: tuple[str, ...] = optional(STRINGS)
    effective: tuple[str, ...] = optional(STRINGS)
    inheritable: tuple[str, ...] = optional(STRINGS)
    permitted: tuple[str, ...] = optional(STRINGS)
    ambient: tuple[str, ...] = optional(STRINGS)


@json_object
class Rlimit(Model):
    """One resource limit of the process; 2**64 - 1 is no limit."""

    type: str = required(STRING)
    hard: int = required(UINT64)
    soft: int = required(UINT64)


@json_object
class Scheduler(Model):
    """The scheduling policy and its parameters."""

    policy: str = required(STRING)
    nice: int | None = optional(INT32)
    priority: int | None = optional(INT32)
    flags: tuple[str, ...] = optional(STRINGS)
    runtime: int | None = optional(UINT64)
    deadline: int | None = optional(UINT64)
    period: int | None = optional(UINT64)


@json_object
class IOPriority(Model):
    """The I/O priority. `class` is a Python keyword, so that attribute is `class_`."""

    class_: str = required(STRING, name="class")
    priority: int | None = optional(INT64)


@json_object
class ExecCPUAffinity(Model):
    """CPU lists for processes that join the container later."""

    initial: str | None = optional(STRING)
    final: str | None = optional(STRING)


@json_object
class Process(Model):
    """The container's program and everything that is set on it."""

    terminal: bool = optional(BOOL)
    consoleSize: ConsoleSize | None = optional(one(ConsoleSize))
    user: User = optional(one_or_empty(User))
    args: tuple[str, ...] = optional(STRINGS)
    env: tuple[str, ...] = optional(SECRETS)
    # Required, but callers match check.py's text for its absence.
    cwd: str | None = optional(STRING)
    capabilities: Capabilities | None = optional(one(Capabilities))
    rlimits: tuple[Rlimit, ...] = optional(many(Rlimit))
    noNewPrivileges: bool = optional(BOOL)
    apparmorProfile: str | None = optional(STRING)
    oomScoreAdj: int | None = optional(INT64)
    selinuxLabel: str | None = optional(STRING)
    scheduler: Scheduler | None = optional(one(Scheduler))
    ioPriority: IOPriority | None = optional(one(IOPriority))
    execCPUAffinity: ExecCPUAffinity | None = optional(one(ExecCPUAffinity))


@json_object
class Mount(Model):
    """One filesystem to mount."""

    destination: str = required(STRING)
    type: str | None = optional(STRING)
    source: str | None = optional(STRING)
    options: tuple[str, ...] = optional(STRINGS)
    uidMappings: tuple[IDMapping, ...] = optional(many(IDMapping))
    gidMappings: tuple[IDMapping, ...] = optional(many(IDMapping))

    @property
    def is_bind(self) -> bool:
        """Whether something that is there already is mounted a second time."""
        return "bind" in self.options or "rbind" in self.options


@json_object
class Hook(Model):
    """One program to run at a point of the container's life."""

    path: str = required(STRING)
    args: tuple[str, ...] = optional(STRINGS)
    # None and () differ: a hook without env inherits.
    env: tuple[str, ...] | None = optional(SECRETS_OR_NONE)
    timeout: int | None = optional(INT64)


@json_object
class Hooks(Model):
    """The hook lists, in the order of the container's life."""

    prestart: tuple[Hook, ...] = optional(many(Hook))
    createRuntime: tuple[Hook, ...] = optional(many(Hook))
    createContainer: tuple[Hook, ...] = optional(many(Hook))
    startContainer: tuple[Hook, ...] = optional(many(Hook))
    poststart: tuple[Hook, ...] = optional(many(Hook))
    poststop: tuple[Hook, ...] = optional(many(Hook))


@json_object
class Spec(Model):
    """One config.json.

    Besides the document's members: `raw`, the JSON object it was decoded from, `source`, its
    bytes if it was read from a file, and `warnings`, what check.py found odd but not wrong.
    """

    ociVersion: str = required(STRING)
    process: Process | None = optional(one(Process))
    root: Root | None = optional(one(Root))
    hostname: str | None = optional(STRING)
    domainname: str | None = optional(STRING)
    mounts: tuple[Mount, ...] = optional(many(Mount))
    hooks: Hooks | None = optional(one(Hooks))
    annotations: dict[str, str] = optional(SECRET_MAP)
    linux: Linux | None = optional(one(Linux))
    raw: dict[str, Any] = field(default_factory=dict, compare=False)
    source: bytes = field(default=b"", compare=False)
    warnings: list[str] = field(default_factory=list, compare=False)
