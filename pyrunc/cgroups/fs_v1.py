# SPDX-License-Identifier: Apache-2.0
"""The driver for cgroup v1 and for hybrid hosts, writing to the cgroup filesystems itself.

Every limit is a v1 one here. The v2 hierarchy of a hybrid host is joined too, because its
cgroup.kill kills everything at once; a failure with it is no failure of the container.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import tree
from pyrunc.cgroups.driver import Driver, asks_limits
from pyrunc.errors import CgroupError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.limits import Limit
    from pyrunc.cgroups.oom import OomEvents
    from pyrunc.cgroups.stats import Stats
    from pyrunc.spec.model_resources import DeviceRule, Resources

# A value of the cgroup above does not hold for those below (blkio throttles, network classes).
_FLAT = ("blkio", "net_cls", "net_prio")
_CPUSET = ("cpuset.cpus", "cpuset.mems")
# A v1 freezer can stay FREEZING; thawing for a moment gets it unstuck.
_FREEZE_TRIES = 1000
_FREEZE_AGAIN = 50
_FREEZE_PAUSE = 0.01
_FREEZE_LOOK = 0.001


class LegacyDriver(Driver):
    """A container's cgroups on a host with cgroup v1 controllers."""

    def __init__(self, layout: Layout, inner: list[str], owned: bool = False) -> None:
        super().__init__(layout, inner, owned)
        self._index = {n: i for i, h in enumerate(layout.hierarchies) for n in h.names}

    def check(self, resources: Resources | None, user_namespace: bool) -> None:
        if not user_namespace and "devices" not in self._index:
            # runc has it so: without this hierarchy nothing would enforce the default rules.
            self._refuse_missing({"devices": f"{self.base}/devices"})
        if resources is None:
            return
        if resources.devices:
            from pyrunc.cgroups import devices

            devices.policy(resources.devices)
        if asks_limits(resources):
            from pyrunc.cgroups import check  # most containers have limits, `run` by hand has not

            self.warnings += check.values(resources, False, self.base)
            self._refuse_missing(check.wanted(resources, False, self.base))

    def _refuse_missing(self, needed: dict[str, str]) -> None:
        from pyrunc.cgroups import check

        where = os.path.dirname(self.layout.hierarchies[0].mount)
        check.available(needed, self._index, where, "its v1 hierarchy is not mounted")

    def create(self) -> None:
        try:
            for index in range(len(self.inner)):
                self._create_one(index)
            if "freezer" in self._index and not self._new[self._index["freezer"]]:
                self._refuse_frozen()
        except BaseException as error:
            self._unmake(error)
            raise
        self.owned = True

    def create_leaf(self, indexes: Collection[int], needed: Collection[str]) -> None:
        """Make the last directory only, in some hierarchies. See `below.Leaf`."""
        flat = next((name for name in _FLAT if name in needed), "")
        if flat:
            raise PyruncError(
                f"cgroup v1 has no {flat} limit for one process: the container's would not hold it",
                hint="update the container's",
            )
        try:
            for index in indexes:
                inner = self.inner[index]
                self._fds[index], self._new[index] = tree.make_leaf(
                    self._mounts[index], inner, self._made
                )
                if "cpuset" in self.layout.hierarchies[index].names:
                    self._fill_cpuset(index, inner)
        except BaseException as error:
            self._unmake(error)
            raise

    def use_threaded(self) -> None:
        """Nothing on v1, where any cgroup takes any process."""

    def _create_one(self, index: int) -> None:
        try:
            self._make(index)
        except CgroupError:
            if not self._optional(index):
                raise
            return
        self._refuse_used(index)
        if "cpuset" in self.layout.hierarchies[index].names:
            self._fill_cpuset(index, self.inner[index])

    def _fill_cpuset(self, index: int, inner: str) -> tuple[str, ...]:
        """Give a v1 cpuset the processors and nodes of its parent, where it has none.

        The kernel makes them empty, and an empty one accepts no process (ENOSPC).

        Returns:
            The values of this cgroup, in the order of _CPUSET.
        """
        mount = self.layout.hierarchies[index].mount
        leaf = inner == self.inner[index]
        fd = self._open(index) if leaf else tree.open_below(mount, inner)[0]
        try:
            values: tuple[str, ...] = ("", "")
            if not (leaf and self._new[index]):
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
            if not leaf:
                os.close(fd)

    def apply(self, resources: Resources | None) -> None:
        if resources is None or not asks_limits(resources):
            return
        for index, found in self.planned(resources):
            self.put(index, found)

    def planned(self, resources: Resources) -> list[tuple[int, list[Limit]]]:
        from pyrunc.cgroups import values_v1

        memory = self._index.get("memory", -1)
        is_new = memory >= 0 and self._new[memory]
        groups = values_v1.limits(resources, self._peek, is_new)
        for controller, found in groups:
            self._refuse_missing({controller: self.base + found[0].pointer})
        return [(self._index[controller], found) for controller, found in groups]

    def _peek(self, controller: str, name: str) -> str:
        return self._read(self._index[controller], name) if controller in self._index else ""

    def filter_devices(
        self,
        rules: Sequence[DeviceRule],
        *,
        required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> None:
        from pyrunc.cgroups import devices

        policy = devices.policy(rules, own_devices)
        try:
            index = self._index.get("devices", -1)
            if index < 0:
                raise CgroupError("filter devices", "", errno.ENOENT, "devices hierarchy")
            devices.enforce_v1(self._open(index), self.directories[index], policy)
        except PyruncError as error:
            if required and not policy.allows_all:
                raise
            self.warnings.append(f"no device filter: {error}")
            return
        self.filtered = True

    def populated(self) -> bool:
        return bool(self.pids())

    def frozen(self) -> bool:
        freezer = self._index.get("freezer", -1)
        if freezer < 0:
            unified = self._joined_by_spawn()
            return unified >= 0 and self._read(unified, "cgroup.freeze") == "1"
        if self._read(freezer, "freezer.state") in ("THAWED", ""):
            return False
        # Else frozen by an ancestor: thawing this one would do nothing.
        return self._read(freezer, "freezer.self_freezing") == "1"

    def freezer(self) -> str:
        index = self._index.get("freezer", self._joined_by_spawn())
        return self.directories[index] if index >= 0 else ""

    def freeze(self) -> None:
        freezer = self._freezer()
        from time import sleep

        try:
            for attempt in range(1, _FREEZE_TRIES + 1):
                if not self._write(freezer, "freezer.state", "FROZEN"):
                    return
                if self._read(freezer, "freezer.state") in ("FROZEN", ""):
                    return
                if attempt % _FREEZE_AGAIN == 0:
                    self._write(freezer, "freezer.state", "THAWED")
                    sleep(_FREEZE_PAUSE)
                sleep(_FREEZE_LOOK)
            raise PyruncError(f"{self.directories[freezer]} could not be frozen in time")
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> None:
        if "freezer" in self._index:
            self._write(self._freezer(), "freezer.state", "THAWED")

    def _freezer(self) -> int:
        if "freezer" not in self._index:
            raise PyruncError("the v1 freezer hierarchy is not mounted")
        return self._index["freezer"]

    def kill(self) -> None:
        from pyrunc.cgroups import signals

        unified = self._joined_by_spawn()
        counting = self.counting()
        try:
            at_once = unified >= 0 and self._write(unified, "cgroup.kill", "1")
            if not at_once and "freezer" in self._index and self.pids():
                # Frozen they cannot fork out of the reach of the list that is read next.
                self.freeze()
            # Also after cgroup.kill: who joined only the v1 hierarchies is not in its reach.
            signals.kill_members(self.pids)
        except OSError as error:
            path = self.directories[counting]
            raise tree.failure("kill", "pidfd_send_signal", error, path) from error
        finally:
            # A frozen process of v1 dies only when it is thawed, whoever froze it.
            self._thaw_all()

    def _thaw_all(self) -> None:
        """Also those below, each of which may be frozen by itself."""
        freezer = self._index.get("freezer", -1)
        fd = self._find(freezer) if freezer >= 0 else -1
        for one in tree.walk(fd) if fd >= 0 else ():
            try:
                if tree.read(one, "freezer.state") != "THAWED":
                    tree.write(one, "freezer.state", "THAWED")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    path = self.directories[freezer]
                    raise tree.failure("thaw all of", "write", error, path) from error

    def oom_kills(self) -> int:
        index = self._index.get("memory", -1)
        text = self._read(index, "memory.oom_control") if index >= 0 else ""
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def stats(self) -> Stats:
        from pyrunc.cgroups import hugetlb, stats_v1

        return stats_v1.collect(self._peek, lambda: len(self.pids()), hugetlb.sizes())

    def oom_events(self) -> OomEvents:
        from pyrunc.cgroups import oom

        index = self._index.get("memory", -1)
        if index < 0:
            raise PyruncError("the v1 memory hierarchy is not mounted")
        unified = self._joined_by_spawn()
        try:
            return oom.LegacyEvents(self._open(index), self._find(unified) if unified >= 0 else -1)
        except OSError as error:
            path = f"{self.directories[index]}/memory.oom_control"
            raise tree.failure("watch", "eventfd", error, path) from error

    def counting(self) -> int:
        # As runc. On a host without it any other hierarchy has the same processes.
        return self._index.get("devices", 0)

    def _joined_by_spawn(self) -> int:
        return self._index.get("", -1)
