# SPDX-License-Identifier: Apache-2.0
"""One cgroup's directory in each hierarchy of the host, opened when first used.

This module must not know what a file means; `cgroup_v1` and `cgroup_v2` do.
"""

from __future__ import annotations

import errno

from pyrunc.cgroups import tree
from pyrunc.cgroups.layout import UNIFIED, Layout
from pyrunc.errors import CgroupError
from pyrunc.kernel.descriptor import Descriptor


class Directories:
    """Descriptors and files of a cgroup.

    A hierarchy is named by its index in the layout.

    Args:
        layout: the host's hierarchies.
        inner: the cgroup's path in each of them, below the mount.

    Attributes:
        paths: the same, absolute.
        new: whether this process has made the directory.
        made: every directory that this process has made for it, parents included.
        index: controller to hierarchy; "" is cgroup v2.
        unified: the hierarchy that clone3 can join, -1 for none.
        counting: the hierarchy whose processes count: as runc that of the devices; where it is
            missing any other has the same processes.
    """

    def __init__(self, layout: Layout, inner: list[str]) -> None:
        self._open: dict[int, Descriptor] = {}
        self.layout = layout
        self.inner = inner
        self.paths = [h.mount + i for h, i in zip(layout.hierarchies, inner, strict=True)]
        self.new = [False] * len(inner)
        self.made: list[str] = []
        self.index = {n: i for i, h in enumerate(layout.hierarchies) for n in h.names}
        self.unified = self.index.get(UNIFIED, -1)
        self.counting = self.index.get("devices", 0)

    def close(self) -> None:
        """Close all descriptors. Using it again reopens them."""
        while self._open:
            self._open.popitem()[1].close()

    def optional(self, index: int) -> bool:
        """Whether a container can do without this hierarchy: the v2 one of a hybrid host."""
        return len(self.inner) > 1 and index == self.unified

    def make(self, index: int, *, last_only: bool = False) -> None:
        """Make a directory and keep it open.

        Args:
            index: the hierarchy.
            last_only: do not make its parents.

        Raises:
            CgroupError: the kernel refuses.
        """
        make = tree.make_last if last_only else tree.open_below
        mount = self.layout.hierarchies[index].mount
        self._open[index], self.new[index] = make(mount, self.inner[index], self.made)

    def open(self, index: int) -> int:
        """The descriptor of one directory, lent."""
        if index not in self._open:
            mount = self.layout.hierarchies[index].mount
            self._open[index], _ = tree.open_below(mount, self.inner[index])
        return self._open[index].fileno()

    def find(self, index: int) -> int:
        """As `open`, with -1 for a cgroup that is not there, or no such hierarchy."""
        if index < 0:
            return -1
        try:
            return self.open(index)
        except CgroupError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return -1
            raise

    def read(self, index: int, name: str) -> str:
        """The text of one file, "" when the file, the cgroup or the hierarchy is not there."""
        fd = self.find(index)
        if fd < 0:
            return ""
        try:
            return tree.read(fd, name)
        except OSError as error:
            # ENODEV: the cgroup was removed while this descriptor was open.
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return ""
            path = f"{self.paths[index]}/{name}"
            raise tree.failure("read", "read", error, path) from error

    def write(self, index: int, name: str, value: str) -> bool:
        """Write one file; False when the file, the cgroup or the hierarchy is not there."""
        fd = self.find(index)
        if fd < 0:
            return False
        try:
            tree.write(fd, name, value)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return False
            path = f"{self.paths[index]}/{name}"
            raise tree.failure(f"write {value} to", "write", error, path) from error
        return True

    def pids(self, index: int) -> list[int]:
        """The processes in the cgroup and below it, by one hierarchy; none when it is gone.

        Raises:
            CgroupError: the kernel refuses.
        """
        fd = self.find(index)
        if fd < 0:
            return []
        try:
            return tree.pids(fd)
        except OSError as error:
            path = self.paths[index]
            raise tree.failure("list processes of", "read", error, path) from error
