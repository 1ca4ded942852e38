# SPDX-License-Identifier: Apache-2.0
"""What lifecycle/ may ask of a container's cgroup, and what all drivers do alike.

Made by `cgroups.new` a driver touches nothing, made by `cgroups.from_dict` it acts on a
container that another process made. Order of a create:

    check, to_dict to the journal, create, to_dict again (`owned`), apply, filter_devices,
    spawn_fd + clone3, then join_fds or attach, close

This module must not know a hierarchy's files; `fs_v2` and `fs_v1` do. It imports no
controller: `state`, `kill` and `delete` need none.
"""

from __future__ import annotations

import os

from pyrunc.cgroups import tree
from pyrunc.errors import CgroupError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.limits import Limit
    from pyrunc.cgroups.oom import OomEvents
    from pyrunc.cgroups.stats import Stats
    from pyrunc.spec.model_resources import DeviceRule, Resources

POINTER = "/linux/cgroupsPath"
RESOURCES = "/linux/resources"


class Driver(tree.Directories):
    """A container's cgroup, in every hierarchy of the host.

    Args:
        layout: the host's hierarchies.
        inner: the container's path in each of them, below the mount.
        owned: whether `create` succeeded. Nothing is killed in a cgroup that is not owned: a
            runtime that dies before `create` may have noted somebody else's.

    Attributes:
        base: JSON pointer of the resources in their document, for messages. `update`, whose
            document they are, sets it to "".
        warnings: what was asked for and not done, a line each.
        filtered: whether the device rules are enforced.
    """

    base = RESOURCES

    # The cgroup can only be made around a process: `create_around` in the place of `create`.
    needs_process = False
    exists = True  # there is a cgroup at all

    def __init__(self, layout: Layout, inner: list[str], owned: bool = False) -> None:
        super().__init__([h.mount for h in layout.hierarchies], inner)
        self.layout = layout
        self.owned = owned
        self.warnings: list[str] = []
        self.filtered = False
        self._made: list[str] = []
        self._new = [False] * len(inner)
        self.spawned = False
        self._why: dict[str, str] = {}  # controller: why `create` could not enable it

    @property
    def paths(self) -> dict[str, str]:
        """Controller to absolute directory; "" is cgroup v2."""
        rows = zip(self.layout.hierarchies, self.directories, strict=True)
        return {name: directory for h, directory in rows for name in h.names}

    def to_dict(self) -> dict[str, Any]:
        """Everything a later process needs, as JSON values."""
        return {
            "manager": "fs",
            "layout": self.layout.to_dict(),
            "inner": list(self.inner),
            "owned": self.owned,
        }

    # What a driver has to do itself.

    def check(self, resources: Resources | None, user_namespace: bool) -> None:
        """Refuse what cannot be done, before anything is.

        Args:
            resources: linux.resources, None when absent.
            user_namespace: the container is in one; the device filter may be missing then.

        Raises:
            SpecError: a value is wrong for this cgroup version.
            PyruncError: the host lacks the controller.
        """
        raise NotImplementedError

    def create(self) -> None:
        """Make the cgroup, in every hierarchy.

        Raises:
            PyruncError: it exists and holds processes, or is frozen.
            CgroupError: the kernel refuses. What was made is removed again.
        """
        raise NotImplementedError

    def create_around(self, pid: int, look: Callable[[], None]) -> None:
        """Make the cgroup with a waiting process in it, where `needs_process` says so.

        Args:
            pid: the process.

        Raises:
            PyruncError: as `create`.
        """
        raise NotImplementedError

    def apply(self, resources: Resources | None) -> None:
        """Set limits that `check` has seen, and read each one back.

        For a new container before a process is in; or for one that runs (`update`), where
        what is absent stays as it is.

        Raises:
            CgroupError: the kernel refuses a value.
            PyruncError: the kernel keeps another value than the one written.
        """
        raise NotImplementedError

    def planned(self, resources: Resources) -> list[tuple[int, list[Limit]]]:
        """Limits as pairs of a hierarchy's index and its values, in writing order."""
        raise NotImplementedError

    def announce(self, resources: Resources) -> Callable[[], None] | None:
        """Tell who writes these files, too (systemd). Returns the way back."""
        return None

    def filter_devices(
        self,
        rules: Sequence[DeviceRule],
        *,
        required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> None:
        """Enforce the device rules, followed by the default ones.

        Args:
            rules: linux.resources.devices.
            required: False where a failure is harmless because mknod is impossible (user
                namespace): it becomes a warning then, and `filtered` stays False.
            own_devices: paths in linux.devices; the default rule of the same path is dropped.

        Raises:
            SpecError: the rules cannot be expressed.
            CgroupError: the kernel refuses.
            PyruncError: the kernel does not confirm the policy.
        """
        raise NotImplementedError

    def delegate(self, uid: int) -> None:
        """Make a user of the host the owner of the cgroup, to make others below it.

        Nothing on v1, where that is not safe (cgroup-v2.rst, "Delegation").

        Args:
            uid: from `delegate.owner`.
        """

    def populated(self) -> bool:
        """Whether any process is in the cgroup or below it."""
        raise NotImplementedError

    def frozen(self) -> bool:
        """Whether the cgroup itself is frozen; frozen by an ancestor does not count."""
        raise NotImplementedError

    def freezer(self) -> str:
        """The directory with the file that freezes the cgroup, or ""."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Freeze the cgroup and wait until it is.

        Raises:
            CgroupError: the kernel refuses, or it takes too long; it is thawed again then.
        """
        raise NotImplementedError

    def thaw(self) -> None:
        """Undo `freeze`. A cgroup that is gone, or has no freezer, is fine.

        Raises:
            CgroupError: the kernel refuses.
        """
        raise NotImplementedError

    def kill(self) -> None:
        """Send SIGKILL to every process in the cgroup and below it. It is never left frozen.

        Raises:
            CgroupError: the kernel refuses.
        """
        raise NotImplementedError

    def oom_kills(self) -> int:
        """How many processes the kernel killed for want of memory; 0 when unknown."""
        raise NotImplementedError

    def stats(self) -> Stats:
        """What the container has used.

        Raises:
            CgroupError: the kernel refuses to say.
        """
        raise NotImplementedError

    def oom_events(self) -> OomEvents:
        """The out-of-memory events from now on, which the caller closes.

        Raises:
            PyruncError: there is no such cgroup, or on v1 no memory controller.
            CgroupError: the kernel refuses to tell.
        """
        raise NotImplementedError

    def counting(self) -> int:
        """Index of the hierarchy whose processes count."""
        raise NotImplementedError

    def _joined_by_spawn(self) -> int:
        """Index of the hierarchy that clone3 can join, -1 for none."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes in the cgroup and below it; none when it is gone.

        Raises:
            CgroupError: the kernel refuses.
        """
        index = self.counting()
        fd = self._find(index)
        if fd < 0:
            return []
        try:
            return tree.pids(fd)
        except OSError as error:
            path = self.directories[index]
            raise tree.failure("list processes of", "read", error, path) from error

    def spawn_fd(self) -> int:
        """A descriptor for clone3(CLONE_INTO_CGROUP).

        Returns:
            The descriptor, which the caller closes, or -1 where there is no such cgroup.
            `join_fds` and `attach` leave out this hierarchy afterwards.

        Raises:
            CgroupError: the cgroup cannot be opened.
        """
        index = self._joined_by_spawn()
        fd = self._find(index) if index >= 0 else -1
        if fd < 0:
            return -1
        self.spawned = True
        return os.dup(fd)

    def attach(self, pid: int) -> None:
        """Move a waiting process into the hierarchies that clone3 did not put it in.

        On v1 the first write takes a lock that waits for an RCU grace period when the host
        has been quiet, 7-12 ms measured; `join_fds` does the same without.

        Args:
            pid: the process.

        Raises:
            CgroupError: the kernel refuses.
        """
        from pyrunc.cgroups import attach  # `create` joins by itself, without

        for index in self._to_join():
            try:
                attach.move(self._open(index), self.directories[index], pid)
            except CgroupError:
                # runc ignores this too: hybrid v2 has no limits, it only serves `kill`.
                if not self._optional(index):
                    raise

    def join_fds(self) -> list[int]:
        """Descriptors by which a process joins by itself the hierarchies clone3 did not.

        The process writes "0" to each while it has only one thread. Moving oneself that way
        spares the lock that `attach` pays for.

        Returns:
            Descriptors open for writing, which the caller closes; [] on cgroup v2 after
            `spawn_fd`.

        Raises:
            CgroupError: a cgroup cannot be opened.
        """
        fds: list[int] = []
        try:
            for index in self._to_join():
                # v1 names the file of single threads otherwise than v2.
                unified = self.layout.hierarchies[index].names == ("",)
                name = "cgroup.procs" if unified else "tasks"
                try:
                    fds.append(os.open(name, tree.WRITE, dir_fd=self._open(index)))
                except OSError as error:
                    path = f"{self.directories[index]}/{name}"
                    raise tree.failure("join cgroup", "open", error, path, POINTER) from error
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        return fds

    def destroy(self) -> None:
        """Kill what is left if the cgroup is owned, and remove it with all below it.

        Parents stay, as with runc: others may be about to use them. A cgroup that is gone
        is fine; so is one that is not owned and still in use.

        Raises:
            CgroupError: it cannot be removed, after some 5 s of trying.
        """
        self.close()
        left = [d for d in reversed(self.directories) if not tree.remove(d)]
        if left:
            from pyrunc.cgroups import removal  # most go at the first try

            removal.remove(left, self._kill_again if self.owned else None)

    def undo(self) -> None:
        """As `destroy`, of what `create` has made just now; what was there before stays."""
        if self.owned and all(self._new):
            self.destroy()
        elif self.owned:
            from pyrunc.cgroups import removal

            made = [d for d, new in zip(self.directories, self._new, strict=True) if new]
            # Not killed for nothing: clone3 into a cgroup that once was fails (Linux 6.14 on).
            removal.remove(made[::-1], self._kill_again if self.populated() else lambda: None)

    def _kill_again(self) -> None:
        self.kill()
        self.close()

    def put(self, index: int, found: list[Limit]) -> None:
        """Write limits to one hierarchy's files."""
        from pyrunc.cgroups import limits  # `exec`, `state` and `delete` have none

        directory, path = self._open(index), self.directories[index]
        target = limits.Target(directory, path, self.base, self._why, self.warnings)
        limits.write_all(target, found)

    def _make(self, index: int) -> None:
        self._fds[index], self._new[index] = tree.open_below(
            self._mounts[index], self.inner[index], self._made
        )

    def _refuse_used(self, index: int) -> None:
        """Refuse a cgroup that was there and has processes: they would be killed with ours."""
        if self._new[index]:
            return
        path = self.directories[index]
        try:
            count = len(tree.pids(self._open(index)))
        except OSError as error:
            raise tree.failure("list processes of", "read", error, path) from error
        if count:
            raise PyruncError(
                f"container's cgroup is not empty: {count} process(es) found",
                pointer=POINTER,
                hint=path,
            )

    def _refuse_frozen(self) -> None:
        if self.frozen():
            raise PyruncError("container's cgroup unexpectedly frozen", pointer=POINTER)

    def _unmake(self, error: BaseException) -> None:
        """Remove what a failing `create` made, and keep what that could not do as a note."""
        from pyrunc.cgroups import removal

        self.close()
        for note in removal.unmake(self._made):
            error.add_note(note)

    def _to_join(self) -> list[int]:
        done = self._joined_by_spawn() if self.spawned else -1
        return [
            i
            for i in range(len(self.inner))
            if i != done and not (self._optional(i) and self._find(i) < 0)
        ]

    def _optional(self, index: int) -> bool:
        """Whether a container can do without this hierarchy: the v2 one of a hybrid host."""
        return len(self.inner) > 1 and self.layout.hierarchies[index].names == ("",)


def asks_limits(resources: Resources) -> bool:
    """Whether anything but device rules is asked for."""
    r = resources
    one = r.memory or r.cpu or r.pids or r.blockIO or r.network
    return bool(one or r.hugepageLimits or r.rdma or r.unified)
