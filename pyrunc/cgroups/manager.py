# SPDX-License-Identifier: Apache-2.0
"""Making a container's cgroup, and removing it: what is the same for whoever makes it.

Order of a create:

    check, to_dict to the journal, create, to_dict again (`owned`), apply,
    then `join.Joining` takes the process in

This module must not know a hierarchy's files; `fs_v1` and `fs_v2` do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pyrunc.cgroups import devices, removal, tree
from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.cgroups.place import POINTER
from pyrunc.errors import PyruncError
from pyrunc.spec.model_resources import Resources


def nothing() -> None:
    """What is called where there is nothing to do: while `create` waits, or in place of a kill."""


class Manager(ABC):
    """Makes and removes a container's cgroup. Making the object touches nothing.

    Args:
        cgroup: the cgroup, which may not be there yet.
        owned: whether `create` succeeded. Nothing is killed in a cgroup that is not owned: a
            runtime that dies before `create` may have noted another owner's.
    """

    # The cgroup can only be made around a process.
    needs_process = False

    def __init__(self, cgroup: Cgroup, owned: bool = False) -> None:
        self.cgroup = cgroup
        self.owned = owned
        self.missing: dict[str, str] = {}  # controller: why it could not be enabled

    def to_dict(self) -> dict[str, Any]:
        """Everything a later process needs, as JSON values."""
        return {
            "manager": "fs",
            "layout": self.cgroup.layout.to_dict(),
            "inner": list(self.cgroup.dirs.inner),
            "owned": self.owned,
        }

    def check(self, resources: Resources | None, user_namespace: bool) -> list[str]:
        """Refuse what cannot be done, before anything is.

        Args:
            resources: linux.resources, None when absent.
            user_namespace: the container is in one; the device filter may be missing then.

        Returns:
            Warnings, a line each.

        Raises:
            SpecError: a value is wrong for this cgroup version.
            PyruncError: the host lacks the controller.
        """
        if resources is None:
            return []
        devices.policy(resources.devices)
        return self.cgroup.check_limits(resources)

    @abstractmethod
    def create(self, pid: int = 0, look: Callable[[], None] = nothing) -> None:
        """Make the cgroup, in every hierarchy.

        Args:
            pid: where `needs_process` says so a process, which waits in the meantime, and is in it
                afterwards.
            look: called now and then in the meantime; what it raises ends the wait.

        Raises:
            PyruncError: it exists and holds processes, or is frozen.
            CgroupError: the kernel refuses. What was made is removed again.
            BusError: systemd refuses or does not answer.
        """

    def apply(
        self,
        resources: Resources | None,
        *,
        filter_required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> list[str]:
        """Set limits that `check` has seen, and enforce the device rules, then the default ones.

        Args:
            resources: linux.resources, None when absent.
            filter_required: False where a failure of the device filter is harmless because mknod
                is impossible (user namespace): nothing is said of it then.
            own_devices: paths in linux.devices; the default rule of the same path is dropped.

        Returns:
            Warnings, a line each.

        Raises:
            SpecError: the rules cannot be expressed.
            CgroupError: the kernel refuses.
            PyruncError: the kernel keeps another value, or does not confirm the device policy.
        """
        warnings = self.cgroup.set_limits(resources, missing=self.missing) if resources else []
        policy = devices.policy(resources.devices if resources else (), own_devices)
        try:
            self.cgroup.filter_devices(policy)
        except PyruncError:
            if filter_required and not policy.allows_all:
                raise
        return warnings

    def delegate(self, uid: int) -> None:  # noqa: B027  # v1 has nothing to do
        """Make a user of the host the owner of the cgroup, to make others below it.

        Nothing on v1, where that is not safe (cgroup-v2.rst, "Delegation").

        Args:
            uid: from `delegate.owner`.
        """

    def undo(self) -> None:
        """As `destroy`, of what `create` has made just now; what was there before stays."""
        if self.owned:
            rows = zip(self.cgroup.directories, self.cgroup.dirs.new, strict=True)
            self.destroy([path for path, new in rows if not new])

    def destroy(self, there: Collection[str] = ()) -> None:
        """Kill what is left if the cgroup is owned, and remove it with all below it.

        Parents stay, as with runc: others may be about to use them. A cgroup that is gone
        is fine; so is one that is not owned and still in use.

        Args:
            there: directories that were there before it was made, which stay.

        Raises:
            CgroupError: it cannot be removed, after some 5 s of trying.
        """
        self.cgroup.close()
        left = [path for path in reversed(self.cgroup.directories) if path not in there]
        kill = self._kill if self.owned else None
        if there:
            # Not killed for nothing: clone3 into a cgroup that once was fails (Linux 6.14 on).
            kill = nothing if kill and not self.cgroup.populated() else kill
            removal.remove(left, kill)
        elif left := [path for path in left if not tree.remove(path)]:  # most go at the first try
            removal.remove(left, kill)

    def _kill(self) -> None:
        self.cgroup.kill()
        self.cgroup.close()

    def _refuse_used(self, index: int) -> None:
        """Refuse a cgroup that was there and has processes: they would be killed with ours."""
        if self.cgroup.dirs.new[index]:
            return
        count = len(self.cgroup.dirs.pids(index))
        if count:
            raise PyruncError(
                f"container's cgroup is not empty: {count} process(es) found",
                pointer=POINTER,
                hint=self.cgroup.directories[index],
            )

    def _refuse_frozen(self) -> None:
        if self.cgroup.frozen():
            raise PyruncError("container's cgroup unexpectedly frozen", pointer=POINTER)

    def _unmake(self, error: BaseException) -> None:
        """Remove what a failing `create` made, and keep what that could not do as a note."""
        self.cgroup.close()
        for note in removal.unmake(self.cgroup.dirs.made):
            error.add_note(note)
