# SPDX-License-Identifier: Apache-2.0
"""Taking one process into a cgroup. Must not decide which cgroup."""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack

from pyrunc.cgroups import tree
from pyrunc.cgroups.cgroup import Cgroup
from pyrunc.cgroups.place import POINTER
from pyrunc.errors import CgroupError
from pyrunc.kernel.descriptor import Descriptor, opened

# A task that clone3 has made but not woken up yet cannot be moved: EINVAL.
_TRIES = 5
_PAUSE = 0.03


class Joining:
    """One process on its way into a cgroup: clone3 puts it into one hierarchy, it joins the others
    by itself or is moved there.

    Args:
        cgroup: the cgroup.
    """

    def __init__(self, cgroup: Cgroup) -> None:
        self._dirs = cgroup.dirs
        self._spawned = False

    def spawn_fd(self) -> Descriptor:
        """A descriptor for clone3(CLONE_INTO_CGROUP), closed where there is no such cgroup.

        `fds` and `move` leave out this hierarchy afterwards.

        Raises:
            CgroupError: the cgroup cannot be opened.
        """
        fd = self._dirs.find(self._dirs.unified)
        if fd < 0:
            return Descriptor()
        self._spawned = True
        return Descriptor(os.dup(fd))

    def fds(self) -> list[Descriptor]:
        """Descriptors by which a process joins by itself the hierarchies clone3 did not.

        The process writes "0" to each while it has only one thread. Moving oneself that way
        spares the lock that `move` pays for.

        Returns:
            Descriptors open for writing; [] on cgroup v2 after `spawn_fd`.

        Raises:
            CgroupError: a cgroup cannot be opened.
        """
        fds = []
        with ExitStack() as on_failure:
            for index in self._left():
                # v1 names the file of single threads otherwise than v2.
                name = "cgroup.procs" if index == self._dirs.unified else "tasks"
                fds.append(on_failure.enter_context(self._open(index, name)))
            on_failure.pop_all()
        return fds

    def _open(self, index: int, name: str) -> Descriptor:
        directory = self._dirs.open(index)
        try:
            return opened(name, tree.WRITE, dir_fd=directory)
        except OSError as error:
            path = f"{self._dirs.paths[index]}/{name}"
            raise tree.failure("join cgroup", "open", error, path, POINTER) from error

    def move(self, pid: int) -> None:
        """Move a waiting process into the hierarchies that clone3 did not put it in.

        On v1 the first write takes a lock that waits for an RCU grace period when the host
        has been quiet, 7-12 ms measured; `fds` does the same without.

        Args:
            pid: the process, of which all threads are moved.

        Raises:
            CgroupError: the kernel refuses.
        """
        for index in self._left():
            try:
                _move(self._dirs.open(index), self._dirs.paths[index], pid)
            except CgroupError:
                # runc ignores this too: hybrid v2 has no limits, it only serves `kill`.
                if not self._dirs.optional(index):
                    raise

    def _left(self) -> list[int]:
        """The hierarchies that clone3 does not join."""
        dirs = self._dirs
        done = dirs.unified if self._spawned else -1
        left = [index for index in range(len(dirs.inner)) if index != done]
        return [index for index in left if not (dirs.optional(index) and dirs.find(index) < 0)]


def _move(directory: int, path: str, pid: int) -> None:
    for left in range(_TRIES, 0, -1):
        try:
            tree.write(directory, "cgroup.procs", str(pid))
        except OSError as error:
            if error.errno == errno.EINVAL and left > 1:
                time.sleep(_PAUSE)
                continue
            place = f"{path}/cgroup.procs"
            raise tree.failure("join cgroup", "write", error, place, POINTER) from error
        return


def cgroup_of(cgroup: Cgroup, pid: int) -> Descriptor:
    """The cgroup v2 directory that a process is in, open.

    Args:
        cgroup: any of this host.
        pid: the process.

    Raises:
        CgroupError: it cannot be opened, or lies outside of what we see.
    """
    unified = cgroup.layout.unified
    assert unified is not None
    path = unified.mount
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "/")
        if "/../" in f"{own}/":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        path += own
        return opened(path, tree.DIRECTORY)
    except OSError as error:
        raise tree.failure("join cgroup", "open", error, path, POINTER) from error
