# SPDX-License-Identifier: Apache-2.0
"""What a plan is made from and what it is; pure, and shared by all that make one."""

from __future__ import annotations

from pyrunc.plan import namespaces, wire
from pyrunc.plan.mount_options import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.host.facts import HostFacts
    from pyrunc.plan.idmap import IdMapped
    from pyrunc.plan.steps import Step
    from pyrunc.spec.model import Mount, Spec

HOOKS, CGROUP = wire.Message.HOOKS, wire.Message.CGROUP


class Options:
    """What the caller of `create` adds to config.json.

    Args:
        container_id: the container's id.
        bundle: absolute path of the bundle.
        rootfs: absolute path of the root filesystem.
        cgroup_paths: controller -> directory; "" is the unified hierarchy.
        cgroup_joins: how many hierarchies the process has to join by itself.
        cgroup_waits: the cgroup is made around the process, which waits for that.
        no_pivot: the host's root cannot be pivoted away from.
        keyring: whether to join a session keyring of the container's own.
        seccomp: the compiled filter, or None.
        seccomp_flags: for seccomp(2).
        hook_state: the state document before and after the pid, for hooks inside.
        started_state: the same with status "created", for startContainer hooks.
        console: the terminal's master is to be sent to register CONSOLE.
        environment: variables added to process.env (LISTEN_FDS, NOTIFY_SOCKET).
        inside: the container is there, and a process joins it.
    """

    __slots__ = (
        "bundle", "cgroup_joins", "cgroup_paths", "cgroup_waits", "console", "container_id",
        "environment", "hook_state", "inside", "keyring", "no_pivot", "rootfs", "seccomp",
        "seccomp_flags", "started_state",
    )  # fmt: skip

    def __init__(
        self,
        *,
        container_id: str,
        bundle: str,
        rootfs: str,
        cgroup_paths: dict[str, str] | None = None,
        cgroup_joins: int = 0,
        cgroup_waits: bool = False,
        keyring: bool = True,
        no_pivot: bool = False,
        seccomp: bytes | None = None,
        seccomp_flags: int = 0,
        hook_state: tuple[str, str] = ("", ""),
        started_state: tuple[str, str] = ("", ""),
        console: bool = False,
        environment: tuple[str, ...] = (),
        inside: bool = False,
    ) -> None:
        self.container_id = container_id
        self.bundle = bundle
        self.rootfs = rootfs
        self.cgroup_paths = cgroup_paths or {}
        self.cgroup_joins = cgroup_joins
        self.cgroup_waits = cgroup_waits
        self.keyring = keyring
        self.no_pivot = no_pivot
        self.seccomp = seccomp
        self.seccomp_flags = seccomp_flags
        self.hook_state = hook_state
        self.started_state = started_state
        self.console = console
        self.environment = environment
        self.inside = inside


class Plan:
    """An ordered list of steps, and what is needed to start its interpreter.

    Attributes:
        steps: in order.
        spawn_flags: namespaces that clone3 makes at once.
        joined: (register, path, namespace type, pointer) of namespaces to open.
        registers: how many registers the steps use.
        passed: how many of them, from 0 on, are filled by the parent.
        idmapped: the mounts that the parent makes for the last of those.
    """

    __slots__ = ("idmapped", "joined", "passed", "registers", "spawn_flags", "steps")

    def __init__(
        self,
        made: tuple[Step, ...],
        spawn_flags: int,
        joined: tuple[tuple[int, str, str, str], ...],
        registers: int,
        passed: int,
        idmapped: tuple[IdMapped, ...] = (),
    ) -> None:
        self.idmapped = idmapped
        self.steps = made
        self.spawn_flags = spawn_flags
        self.joined = joined
        self.registers = registers
        self.passed = passed


class Context:
    """What the compilers of the single concerns share while one plan is made."""

    def __init__(self, spec: Spec, facts: HostFacts, options: Options) -> None:
        self.spec = spec
        self.facts = facts
        self.options = options
        self.namespaces = {ns.type: ns for ns in (spec.linux.namespaces if spec.linux else ())}
        self.mounts = spec.mounts
        if spec.mounts and self.has_namespace("user"):
            from pyrunc.plan import mounts  # a process that joins has none to make

            # What no user namespace may mount it gets as a bind mount, as with crun.
            self.mounts = tuple(mounts.adapted(self, mount) for mount in spec.mounts)
        self.joined = namespaces.joined(self)
        self.cgroup_register = wire.FIRST_FREE + len(self.joined)
        self.idmapped: dict[int, IdMapped] = {}
        if any(map(is_mapped, self.mounts)):
            from pyrunc.plan import idmap

            self.idmapped = idmap.find(self)
        self.idmap_register = self.cgroup_register + options.cgroup_joins
        self.passed = self.idmap_register + len(self.idmapped)
        self.mount_register = self.passed
        self.early = facts.privileged and (self.has_namespace("user") or self.joins("mount"))
        self._sources = self.mount_register + 1
        self.registers = self._sources + (len(self.mounts) if self.early else 0) + 1
        self.read_only_later: list[tuple[int, str]] = []
        # Where procfs and sysfs are mounted, and by which register.
        self.anchors: dict[str, int] = {}

    def has_namespace(self, kind: str) -> bool:
        """Whether the container has a namespace of that type, new or joined."""
        return kind in self.namespaces

    def makes(self, kind: str) -> bool:
        """Whether a new namespace of that type is made."""
        return kind in self.namespaces and not self.namespaces[kind].path

    def joins(self, kind: str) -> bool:
        """Whether an existing namespace of that type is joined."""
        return kind in self.namespaces and bool(self.namespaces[kind].path)

    def source_register(self, index: int) -> int:
        """Where the source of bind mount `index` is kept: one place, unless all come early."""
        if index in self.idmapped:
            return self.idmap_register + list(self.idmapped).index(index)
        return self._sources + index if self.early else self.mount_register

    def destination(self, mount: Mount) -> str:
        """Where it goes, from the container's root. The host's path of that is taken off, as
        runc does."""
        path = clean(mount.destination)
        root = self.options.rootfs.rstrip("/")
        return path[len(root) :] if root and path.startswith(root + "/") else path

    def brought(self, index: int) -> str:
        """Where the source of bind mount `index` lies from the container's root, if it lies in
        what a mount before it brings, else ""."""
        source = self.mounts[index].source or ""
        root = self.options.rootfs.rstrip("/") + "/"
        if not source.startswith(root):
            return ""
        inner = clean(source[len(root) :])
        places = (self.destination(mount) for mount in self.mounts[:index])
        return inner if any(f"{inner}/".startswith(f"{place}/") for place in places) else ""

    def within(self, path: str) -> tuple[int, str]:
        """The register of the kernel's filesystem that a path lies in, and the rest of it.

        The root filesystem's, and the whole path, where it lies in none.
        """
        for place, register in self.anchors.items():
            if path.startswith(place + "/"):
                return register, path[len(place) :]
        return wire.ROOT, path

    def new_register(self) -> int:
        """One more register, for what has to be kept."""
        self.registers += 1
        return self.registers - 1

    def hierarchies(self) -> list[tuple[str, tuple[str, ...]]]:
        """The host's v1 hierarchies: (directory name, controllers)."""
        return list(self.facts.cgroup_hierarchies)


def is_mapped(mount: Mount) -> bool:
    """Whether its owners are to be mapped: by an option, or because it has maps."""
    return bool(mount.uidMappings or "idmap" in mount.options or "ridmap" in mount.options)
