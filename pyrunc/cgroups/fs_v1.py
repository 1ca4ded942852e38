# SPDX-License-Identifier: Apache-2.0
"""Making cgroups on a host with cgroup v1 controllers, a hybrid one included, without systemd.

The v2 hierarchy of a hybrid host is joined too, because its cgroup.kill kills everything at once;
a failure with it is no failure of the container.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from pyrunc.cgroups import tree
from pyrunc.cgroups.cgroup_v1 import LegacyCgroup
from pyrunc.cgroups.manager import Manager, nothing
from pyrunc.cgroups.write import RESOURCES
from pyrunc.errors import CgroupError, PyruncError
from pyrunc.kernel.descriptor import Descriptor
from pyrunc.spec.model_resources import Resources

# A value of the cgroup above does not hold for those below (blkio throttles, network classes).
_FLAT = ("blkio", "net_cls", "net_prio")
_CPUSET = ("cpuset.cpus", "cpuset.mems")


class LegacyManager(Manager):
    """Makes one cgroup in each hierarchy."""

    cgroup: LegacyCgroup

    def check(self, resources: Resources | None, user_namespace: bool) -> list[str]:
        if not user_namespace:
            # runc has it so: without this hierarchy nothing would enforce the default rules.
            self.cgroup.refuse_missing({"devices": f"{RESOURCES}/devices"})
        return super().check(resources, user_namespace)

    def create(self, pid: int = 0, look: Callable[[], None] = nothing) -> None:
        dirs = self.cgroup.dirs
        try:
            for index in range(len(dirs.inner)):
                self._create_one(index)
            if "freezer" in dirs.index and not dirs.new[dirs.index["freezer"]]:
                self._refuse_frozen()
        except BaseException as error:
            self._unmake(error)
            raise
        self.owned = True

    def create_last(self, indexes: Collection[int], needed: Collection[str]) -> None:
        """Make the last directory only, in some hierarchies. See `sub_cgroup.SubCgroup`."""
        flat = next((name for name in _FLAT if name in needed), "")
        if flat:
            raise PyruncError(
                f"{flat} limits for one process are not supported on cgroup v1: "
                "the container's would not hold it",
                hint="update the container's",
            )
        try:
            for index in indexes:
                self.cgroup.dirs.make(index, last_only=True)
                self._fill_if_cpuset(index)
        except BaseException as error:
            self._unmake(error)
            raise

    def use_threaded(self) -> None:
        """Nothing on v1, where any cgroup takes any process."""

    def _create_one(self, index: int) -> None:
        try:
            self.cgroup.dirs.make(index)
        except CgroupError:
            if not self.cgroup.dirs.optional(index):
                raise
            return
        self._refuse_used(index)
        self._fill_if_cpuset(index)

    def _fill_if_cpuset(self, index: int) -> None:
        if "cpuset" in self.cgroup.layout.hierarchies[index].names:
            self._fill_cpuset(index, self.cgroup.dirs.inner[index])

    def _fill_cpuset(self, index: int, inner: str) -> tuple[str, ...]:
        """Give a v1 cpuset the processors and nodes of its parent, where it has none.

        The kernel makes them empty, and an empty one accepts no process (ENOSPC).

        Returns:
            The values of this cgroup, in the order of _CPUSET.
        """
        dirs = self.cgroup.dirs
        mount = dirs.layout.hierarchies[index].mount
        own = inner == dirs.inner[index]
        other = Descriptor() if own else tree.open_below(mount, inner)[0]
        fd = dirs.open(index) if own else other.fileno()
        try:
            values: tuple[str, ...] = ("", "")
            if not (own and dirs.new[index]):
                values = tuple(tree.read(fd, name) for name in _CPUSET)
            if all(values) or not inner:
                return values
            above = self._fill_cpuset(index, inner.rpartition("/")[0])
            for name, value, inherited in zip(_CPUSET, values, above, strict=True):
                if not value:
                    tree.write(fd, name, inherited)
            return tuple(v or a for v, a in zip(values, above, strict=True))
        except OSError as error:
            raise tree.failure("fill cpuset of", "write", error, mount + inner) from error
        finally:
            other.close()
