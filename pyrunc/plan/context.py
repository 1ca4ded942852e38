# SPDX-License-Identifier: Apache-2.0
"""What a plan is made from: records that all modules of this package share; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyrunc.host.facts import HostFacts
from pyrunc.plan import wire
from pyrunc.plan.mount_options import MountOptions
from pyrunc.plan.plan import IdMapped, JoinedNamespace
from pyrunc.plan.steps import Step
from pyrunc.spec.model import Mount, Spec
from pyrunc.spec.model_linux import Namespace

# What fsconfig(2) surely takes, in characters, each of which may be four bytes.
_SURELY_SHORT = 63


@dataclass(slots=True, kw_only=True)
class Options:
    """What the caller of `create` or `exec` adds to config.json.

    Args:
        container_id: the container's id.
        bundle: absolute path of the bundle.
        rootfs: absolute path of the root filesystem.
        cgroup_paths: controller -> directory; "" is the unified hierarchy.
        cgroup_joins: how many hierarchies the process has to join by itself.
        cgroup_waits: the cgroup is made around the process, which waits for that.
        keyring: whether to join a session keyring of the container's own.
        no_pivot: the host's root cannot be pivoted away from.
        seccomp: the compiled filter, or None.
        seccomp_flags: for seccomp(2).
        hook_state: the state document before and after the pid, for hooks in the container.
        started_state: the same with status "created", for startContainer hooks.
        console: the terminal's master is to be sent to register CONSOLE.
        environment: variables added to process.env (LISTEN_FDS, NOTIFY_SOCKET).
        for_exec: the container exists, and a further process joins it.
        explained: keep the reasons of the order, for a reader.
    """

    container_id: str
    bundle: str
    rootfs: str
    cgroup_paths: dict[str, str] = field(default_factory=dict)
    cgroup_joins: int = 0
    cgroup_waits: bool = False
    keyring: bool = True
    no_pivot: bool = False
    seccomp: bytes | None = None
    seccomp_flags: int = 0
    hook_state: tuple[str, str] = ("", "")
    started_state: tuple[str, str] = ("", "")
    console: bool = False
    environment: tuple[str, ...] = ()
    for_exec: bool = False
    explained: bool = False

    def host_path(self, path: str) -> str:
        """A path of the host, where a relative one starts at the bundle."""
        return path if path.startswith("/") else f"{self.bundle}/{path}"


@dataclass(slots=True)
class PlannedMount:
    """One of `mounts`, understood.

    Attributes:
        mount: as configured, or what a user namespace gets in its place.
        options: of it.
        destination: from the container's root.
        pointer: of it.
        brought: where its source lies from the container's root, if that is in what a mount
            before it brings, else "".
        mapped: what the parent makes for it, if its owners are mapped.
        register: where its source is kept.
    """

    mount: Mount
    options: MountOptions
    destination: str
    pointer: str
    brought: str = ""
    mapped: IdMapped | None = None
    register: int = 0

    @property
    def may_be_long(self) -> bool:
        """Whether fsconfig(2), which takes 255 bytes, may refuse its source or an option."""
        if self.options.bind or not self.mount.type:
            return False
        return max(map(len, (self.mount.source or "", *self.mount.options))) > _SURELY_SHORT


class Registers:
    """Hands out descriptor registers: first those that the parent fills, then the plan's own."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = wire.FIRST_FREE

    def take(self, count: int = 1) -> int:
        """The first of so many registers in a row, which nothing else uses."""
        first = self.count
        self.count += count
        return first


@dataclass(slots=True, kw_only=True)
class Context:
    """What the compilers of the single concerns share while one plan is made.

    Attributes:
        spec, facts, options: what the plan is made from.
        namespaces: the container's, by type.
        registers: those that are taken.
        cgroup_register: the first of `options.cgroup_joins`.
        passed: how many registers, from 0 on, the parent fills.
        joined: namespaces that exist.
        mounts: in the order of the list.
        early: what mounts come from is opened before the namespaces are entered.
        mount_register: for mounts of which one is held at a time.
        read_only_later: mounts (register, pointer) that have to be filled first.
        anchors: where procfs and sysfs are mounted, and by which register.
        reasons: why a step (by its id) stands where it does; None if nobody reads them.
    """

    spec: Spec
    facts: HostFacts
    options: Options
    namespaces: dict[str, Namespace]
    registers: Registers
    cgroup_register: int
    passed: int
    joined: tuple[JoinedNamespace, ...] = ()
    mounts: tuple[PlannedMount, ...] = ()
    early: bool = False
    mount_register: int = 0
    read_only_later: list[tuple[int, str]] = field(default_factory=list)
    anchors: dict[str, int] = field(default_factory=dict)
    reasons: dict[int, str] | None = None

    def because(self, why: str, made: list[Step]) -> list[Step]:
        """Steps, with the reason why they stand here; one that has its own keeps it."""
        if self.reasons is not None:
            for step in made:
                self.reasons.setdefault(id(step), why)
        return made

    def reasons_of(self, made: tuple[Step, ...]) -> tuple[str, ...]:
        """One for each step, "" where it has none; () if nobody reads them."""
        if self.reasons is None:
            return ()
        return tuple(self.reasons.get(id(step), "") for step in made)

    def has_namespace(self, kind: str) -> bool:
        """Whether the container has a namespace of that type, new or joined."""
        return kind in self.namespaces

    def makes(self, kind: str) -> bool:
        """Whether a new namespace of that type is made."""
        return kind in self.namespaces and not self.namespaces[kind].path

    def joins(self, kind: str) -> bool:
        """Whether an existing namespace of that type is joined."""
        return kind in self.namespaces and bool(self.namespaces[kind].path)

    def within(self, path: str) -> tuple[int, str]:
        """The register of the kernel's filesystem that a path lies in, and the rest of it.

        The root filesystem's, and the whole path, where it lies in none.
        """
        for place, register in self.anchors.items():
            if path.startswith(place + "/"):
                return register, path[len(place) :]
        return wire.ROOT, path
