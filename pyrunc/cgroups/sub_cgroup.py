# SPDX-License-Identifier: Apache-2.0
"""Cgroups below a container's that a further process may go to: one that is there, or a new one
for it and what it starts."""

from __future__ import annotations

import os

from pyrunc.cgroups import check, fs, removal, signals, tree
from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.errors import PyruncError, UsageError
from pyrunc.spec.model_resources import Resources


def existing(cgroup: Cgroup, paths: dict[str, str]) -> Cgroup:
    """A container's cgroup, with a path below it.

    Args:
        cgroup: the container's.
        paths: controller -> path below the container's cgroup; "" is for all that are not
            named, and for cgroup v2.

    Returns:
        The cgroup to join.

    Raises:
        UsageError: a path leads out of the container's cgroup, or a controller is unknown.
    """
    if not cgroup.exists:
        raise UsageError("--cgroup: the container has no cgroup")
    known = {name.removeprefix("name=") for name in cgroup.dirs.index}
    for name, path in paths.items():
        if name and name not in known:
            raise UsageError(f'unknown controller "{name}" in --cgroup {name}:{path}')
    inner = []
    for hierarchy, own in zip(cgroup.layout.hierarchies, cgroup.dirs.inner, strict=True):
        names = [name.removeprefix("name=") for name in hierarchy.names]
        wanted = next((paths[name] for name in names if name in paths), paths.get("", ""))
        inner.append(_joined(own, wanted))
    return fs.open_cgroup(cgroup.layout, inner)


def _joined(own: str, path: str) -> str:
    if not path:
        return own
    whole = os.path.normpath(f"{own}/{path}")
    if whole != own and not whole.startswith(own.rstrip("/") + "/"):
        raise UsageError(f"bad sub cgroup path: {path}")
    return whole


class SubCgroup:
    """A cgroup of its own for one process of a container, so that all that it starts ends with it
    and is held by limits of its own.

    It is below the container's, whose limits hold it too; in the hierarchy that counts processes,
    and on v1 in those of its limits, except those where the container's would hold no more (block
    devices, network). On v2 limits next to other processes are for cpu, cpuset and pids only, and
    leave these controllers enabled. A container that may manage cgroups of its own can move its
    processes elsewhere; what has left is neither ended nor limited.

    Args:
        parent: the container's.
        resources: the limits.

    Attributes:
        cgroup: what to join; where it is not made that is the container's own.

    Raises:
        SpecError: a limit is wrong, or this host's cgroups have no such limit.
        PyruncError: it cannot be made, or a limit not be set. Nothing of it is left.
    """

    def __init__(self, parent: Cgroup, resources: Resources | None = None) -> None:
        # A container must not be able to guess it.
        name = f"exec-{os.urandom(6).hex()}"
        needed = check.wanted(resources, parent.layout.kind == "v2", "") if resources else {}
        self._counting = parent.dirs.counting
        indexes = [
            index
            for index, hierarchy in enumerate(parent.layout.hierarchies)
            if index == self._counting or not needed.keys().isdisjoint(hierarchy.names)
        ]
        inner = [f"{p}/{name}" if i in indexes else p for i, p in enumerate(parent.dirs.inner)]
        self._manager = fs.manager(fs.open_cgroup(parent.layout, inner))
        self.cgroup = self._manager.cgroup
        self._paths = [self.cgroup.directories[index] for index in indexes]
        if resources:
            self.cgroup.check_limits(resources, "")
        self._manager.create_last(indexes, needed)
        try:
            for index, found in self.cgroup.plan_limits(resources, "") if resources else ():
                if index not in indexes:  # that is the container's own
                    raise PyruncError("cannot limit one process", pointer=found[0].pointer)
                self.cgroup.put(index, found, "", self._manager.missing)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Kill all that is in it, and remove it.

        Raises:
            CgroupError: it cannot be removed, after some 5 s of trying.
        """
        try:
            removal.remove(self._paths, self._kill)
        finally:
            self.cgroup.close()

    def follow(self) -> None:
        """Take processes also when the cgroup above has become the root of threaded ones.

        Raises:
            PyruncError: it has limits that a threaded cgroup cannot have.
        """
        self._manager.use_threaded()

    def _kill(self) -> None:
        fd = self.cgroup.dirs.find(self._counting)
        if fd < 0:
            return
        try:
            tree.write(fd, "cgroup.kill", "1")
        except OSError:  # v1, threaded, before 5.14; or it is gone
            signals.kill_members(lambda: tree.pids(fd))
