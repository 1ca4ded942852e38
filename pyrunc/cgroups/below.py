# SPDX-License-Identifier: Apache-2.0
"""Other cgroups that a further process of a container may go to: one below its own, or the one
that its init has gone to, or a new one for it and what it starts."""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import fs_driver, tree
from pyrunc.cgroups.driver import POINTER
from pyrunc.errors import PyruncError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cgroups.driver import Driver
    from pyrunc.cgroups.layout import Layout
    from pyrunc.spec.model_resources import Resources


def below(driver: Driver, paths: dict[str, str]) -> Driver:
    """A container's cgroups, with a path below them.

    Args:
        driver: of the container.
        paths: controller -> path below the container's cgroup; "" is for all that are not
            named, and for cgroup v2.

    Returns:
        A driver for joining, of the same kind.

    Raises:
        UsageError: a path leads out of the container's cgroup, or a controller is unknown.
    """
    if not driver.inner:
        raise UsageError("--cgroup: the container has no cgroup")
    known = {name.removeprefix("name=") for h in driver.layout.hierarchies for name in h.names}
    for name, path in paths.items():
        if name and name not in known:
            raise UsageError(f'unknown controller "{name}" in --cgroup {name}:{path}')
    inner = []
    for hierarchy, own in zip(driver.layout.hierarchies, driver.inner, strict=True):
        names = [name.removeprefix("name=") for name in hierarchy.names]
        wanted = next((paths[name] for name in names if name in paths), paths.get("", ""))
        inner.append(_joined(own, wanted))
    return fs_driver(driver.layout, inner)


def _joined(own: str, path: str) -> str:
    if not path:
        return own
    whole = os.path.normpath(f"{own}/{path}")
    if whole != own and not whole.startswith(own.rstrip("/") + "/"):
        raise UsageError(f"bad sub cgroup path: {path}")
    return whole


def of_process(layout: Layout, pid: int) -> int:
    """The cgroup v2 directory that a process is in, open.

    Raises:
        CgroupError: it cannot be opened, or lies outside of what we see.
    """
    unified = layout.unified
    assert unified is not None
    path = unified.mount
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "/")
        if "/../" in f"{own}/":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        path += own
        return os.open(path, tree.DIRECTORY)
    except OSError as error:
        raise tree.failure("join cgroup", "open", error, path, POINTER) from error


class Leaf:
    """A cgroup of its own for one process of a container, so that all that it starts ends with it
    and is held by limits of its own.

    Below the container's, whose limits hold it too; in the hierarchy that counts processes, and
    on v1 in those of its limits, but for those where the container's would hold no more (block
    devices, network). On v2 limits beside other processes are for cpu, cpuset and pids only, and
    leave these controllers enabled. A container that may manage cgroups of its own can move its
    processes elsewhere; what has left is neither ended nor limited.

    Args:
        driver: of the container.
        resources: the limits.

    Raises:
        SpecError: a limit is wrong, or this host's cgroups have no such limit.
        PyruncError: it cannot be made, or a limit not be set. Nothing of it is left.
    """

    def __init__(self, driver: Driver, resources: Resources | None = None) -> None:
        # A container must not know it before.
        name = f"exec-{os.urandom(6).hex()}"
        needed = _needed(driver, resources)
        self._index = driver.counting()
        indexes = [
            index
            for index, hierarchy in enumerate(driver.layout.hierarchies)
            if index == self._index or needed.intersection(hierarchy.names)
        ]
        inner = [f"{p}/{name}" if i in indexes else p for i, p in enumerate(driver.inner)]
        made = self.driver = fs_driver(driver.layout, inner)
        made.base = ""
        made.check(resources, True)
        self._paths = [made.directories[index] for index in indexes]
        made.create_leaf(indexes, needed)
        try:
            for index, found in made.planned(resources) if resources else ():
                if index not in indexes:  # that is the container's own
                    raise PyruncError("cannot limit one process", pointer=found[0].pointer)
                made.put(index, found)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Kill all that is in it, and remove it.

        Raises:
            CgroupError: it cannot be removed, after some 5 s of trying.
        """
        from pyrunc.cgroups import removal

        try:
            removal.remove(self._paths, self._kill)
        finally:
            self.driver.close()

    def follow(self) -> None:
        """Take processes also when the cgroup above has become the root of threaded ones.

        Raises:
            PyruncError: it has limits that a threaded cgroup cannot have.
        """
        self.driver.use_threaded()

    def _kill(self) -> None:
        fd = self.driver._find(self._index)
        if fd < 0:
            return
        try:
            tree.write(fd, "cgroup.kill", "1")
        except OSError:  # v1, threaded, before 5.14; or it is gone
            from pyrunc.cgroups import signals

            signals.kill_members(lambda: tree.pids(fd))


def _needed(driver: Driver, resources: Resources | None) -> set[str]:
    if resources is None:
        return set()
    from pyrunc.cgroups import check

    return set(check.wanted(resources, driver.layout.kind == "v2", ""))
