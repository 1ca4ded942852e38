# SPDX-License-Identifier: Apache-2.0
"""The OCI runtime configuration as objects: the part that every platform has.

Attribute names are the JSON names (`spec.process.noNewPrivileges`), so that the
specification, the config.json and the code speak of one thing in one word. An absent or null
member is None, () for a list, {} for a map and False for a boolean. This module holds types
only: it must not judge values (check.py does) nor read files.
"""

# The names are the specification's (N815); the tables are constants, and a ClassVar on each
# would hide them (RUF012).
# ruff: noqa: N815, RUF012

from __future__ import annotations

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
    Field,
    Model,
    default,
    many,
    one,
    one_or_empty,
    required,
)
from pyrunc.spec.model_linux import IDMapping, Linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Root(Model):
    """The container's root filesystem."""

    path: str
    readonly: bool

    FIELDS = {"path": required(STRING), "readonly": BOOL}
    __slots__ = tuple(FIELDS)


class User(Model):
    """Whom the process runs as, in the container's numbers."""

    uid: int
    gid: int
    umask: int | None
    additionalGids: tuple[int, ...]

    FIELDS = {
        # Required by the text, zero when missing in every runtime.
        "uid": default(UINT32, 0),
        "gid": default(UINT32, 0),
        "umask": UINT32,
        "additionalGids": many(UINT32),
    }
    __slots__ = tuple(FIELDS)


class ConsoleSize(Model):
    """The terminal's size in characters."""

    height: int
    width: int

    FIELDS = {"height": required(UINT64), "width": required(UINT64)}
    __slots__ = tuple(FIELDS)


class Capabilities(Model):
    """The five capability sets, by name."""

    bounding: tuple[str, ...]
    effective: tuple[str, ...]
    inheritable: tuple[str, ...]
    permitted: tuple[str, ...]
    ambient: tuple[str, ...]

    FIELDS = {
        "bounding": STRINGS,
        "effective": STRINGS,
        "inheritable": STRINGS,
        "permitted": STRINGS,
        "ambient": STRINGS,
    }
    __slots__ = tuple(FIELDS)


class Rlimit(Model):
    """One resource limit of the process; 2**64 - 1 is no limit."""

    type: str
    hard: int
    soft: int

    FIELDS = {"type": required(STRING), "hard": required(UINT64), "soft": required(UINT64)}
    __slots__ = tuple(FIELDS)


class Scheduler(Model):
    """The scheduling policy and its parameters."""

    policy: str
    nice: int | None
    priority: int | None
    flags: tuple[str, ...]
    runtime: int | None
    deadline: int | None
    period: int | None

    FIELDS = {
        "policy": required(STRING),
        "nice": INT32,
        "priority": INT32,
        "flags": STRINGS,
        "runtime": UINT64,
        "deadline": UINT64,
        "period": UINT64,
    }
    __slots__ = tuple(FIELDS)


class IOPriority(Model):
    """The I/O priority. `class` is a Python keyword, so that attribute is `class_`."""

    class_: str
    priority: int | None

    FIELDS = {
        "class": Field(STRING.decode, STRING.expected, required=True, attribute="class_"),
        "priority": INT64,
    }
    __slots__ = ("class_", "priority")


class ExecCPUAffinity(Model):
    """CPU lists for processes that join the container later."""

    initial: str | None
    final: str | None

    FIELDS = {"initial": STRING, "final": STRING}
    __slots__ = tuple(FIELDS)


class Process(Model):
    """The container's program and everything that is set on it."""

    terminal: bool
    consoleSize: ConsoleSize | None
    user: User
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str | None
    capabilities: Capabilities | None
    rlimits: tuple[Rlimit, ...]
    noNewPrivileges: bool
    apparmorProfile: str | None
    oomScoreAdj: int | None
    selinuxLabel: str | None
    scheduler: Scheduler | None
    ioPriority: IOPriority | None
    execCPUAffinity: ExecCPUAffinity | None

    FIELDS = {
        "terminal": BOOL,
        "consoleSize": one(ConsoleSize),
        "user": one_or_empty(User),
        "args": STRINGS,
        "env": SECRETS,
        # Required, but callers match check.py's text for its absence.
        "cwd": STRING,
        "capabilities": one(Capabilities),
        "rlimits": many(Rlimit),
        "noNewPrivileges": BOOL,
        "apparmorProfile": STRING,
        "oomScoreAdj": INT64,
        "selinuxLabel": STRING,
        "scheduler": one(Scheduler),
        "ioPriority": one(IOPriority),
        "execCPUAffinity": one(ExecCPUAffinity),
    }
    __slots__ = tuple(FIELDS)


class Mount(Model):
    """One filesystem to mount."""

    destination: str
    type: str | None
    source: str | None
    options: tuple[str, ...]
    uidMappings: tuple[IDMapping, ...]
    gidMappings: tuple[IDMapping, ...]

    FIELDS = {
        "destination": required(STRING),
        "type": STRING,
        "source": STRING,
        "options": STRINGS,
        "uidMappings": many(IDMapping),
        "gidMappings": many(IDMapping),
    }
    __slots__ = tuple(FIELDS)

    @property
    def is_bind(self) -> bool:
        """Whether something that is there already is mounted a second time."""
        return "bind" in self.options or "rbind" in self.options


class Hook(Model):
    """One program to run at a point of the container's life."""

    path: str
    args: tuple[str, ...]
    env: tuple[str, ...] | None
    timeout: int | None

    FIELDS = {
        "path": required(STRING),
        "args": STRINGS,
        # None and () differ: a hook without env inherits.
        "env": SECRETS_OR_NONE,
        "timeout": INT64,
    }
    __slots__ = tuple(FIELDS)


class Hooks(Model):
    """The hook lists, in the order of the container's life."""

    prestart: tuple[Hook, ...]
    createRuntime: tuple[Hook, ...]
    createContainer: tuple[Hook, ...]
    startContainer: tuple[Hook, ...]
    poststart: tuple[Hook, ...]
    poststop: tuple[Hook, ...]

    FIELDS = {
        "prestart": many(Hook),
        "createRuntime": many(Hook),
        "createContainer": many(Hook),
        "startContainer": many(Hook),
        "poststart": many(Hook),
        "poststop": many(Hook),
    }
    __slots__ = tuple(FIELDS)


class Spec(Model):
    """One config.json.

    Beside the document's members: `raw`, the JSON object it was decoded from, `source`, its
    bytes if it was read from a file, and `warnings`, what check.py found odd but not wrong.
    """

    ociVersion: str
    process: Process | None
    root: Root | None
    hostname: str | None
    domainname: str | None
    mounts: tuple[Mount, ...]
    hooks: Hooks | None
    annotations: dict[str, str]
    linux: Linux | None
    raw: dict[str, Any]
    source: bytes
    warnings: list[str]

    FIELDS = {
        "ociVersion": required(STRING),
        "process": one(Process),
        "root": one(Root),
        "hostname": STRING,
        "domainname": STRING,
        "mounts": many(Mount),
        "hooks": one(Hooks),
        "annotations": SECRET_MAP,
        "linux": one(Linux),
    }
    __slots__ = (*FIELDS, "raw", "source", "warnings")

    def __init__(self, **members: Any) -> None:
        super().__init__(**members)
        self.raw = {}
        self.source = b""
        self.warnings = []
