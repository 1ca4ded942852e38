# SPDX-License-Identifier: Apache-2.0
"""The driver for cgroup v1 and for hybrid hosts, writing to the cgroup filesystems itself.

Every limit is a v1 one here. The v2 hierarchy of a hybrid host is joined too, because its
cgroup.kill kills everything at once; a failure with it is no failure of the container.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import tree
from pyrunc.cgroups.driver import Driver
from pyrunc.errors import CgroupError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.limits import Limit
    from pyrunc.spec.model_resources import DeviceRule, Memory, Resources

_CPUSET = ("cpuset.cpus", "cpuset.mems")
# spec-map 4.7: a v1 freezer can stay FREEZING; thawing for a moment gets it unstuck.
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
        from pyrunc.cgroups import check  # only `create` and `update` check

        if not user_namespace:
            # runc has it so: without this hierarchy nothing would enforce the default rules.
            pointer = "/linux/resources/devices"
            check.available({"devices": pointer}, self._index, "mount the v1 devices hierarchy")
        if resources is None:
            return
        check.refuse_later(resources)
        if resources.devices:
            from pyrunc.cgroups import devices

            devices.policy(resources.devices)
        self.warnings += check.values(resources, v2=False)
        check.available(check.wanted(resources), self._index, "its v1 hierarchy is not mounted")

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
        if resources is None:
            return
        if resources.pids:
            from pyrunc.cgroups import pids  # paid for by who asks for it

            self._put("pids", pids.limits(resources.pids))
        if resources.memory:
            self._put("memory", self._memory(resources.memory))
        if resources.cpu:
            from pyrunc.cgroups import cpu, cpuset

            self._put("cpu", cpu.limits_v1(resources.cpu))
            self._put("cpuset", cpuset.limits(resources.cpu))

    def _put(self, controller: str, found: list[Limit]) -> None:
        if not found:
            return
        from pyrunc.cgroups import limits

        if controller not in self._index:
            raise CgroupError(
                "limit",
                "",
                errno.ENOENT,
                controller,
                pointer=found[0].pointer,
                hint="its v1 hierarchy is not mounted",
            )
        index = self._index[controller]
        limits.write_all(self._open(index), self.directories[index], found)

    def _memory(self, asked: Memory) -> list[Limit]:
        from pyrunc.cgroups import memory

        index = self._index.get("memory", -1)
        current, has_swap = None, True
        # What is set now, and whether there is swap accounting, matters in these cases only.
        if index >= 0 and asked.limit and asked.swap and not self._new[index]:
            text = self._read(index, "memory.limit_in_bytes")
            current = int(text) if text.isdigit() else None
        if index >= 0 and asked.limit == -1 and not asked.swap:
            has_swap = bool(self._read(index, "memory.memsw.limit_in_bytes"))
        return memory.limits_v1(asked, current, has_swap)

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
        counting = self._counting()
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
            self._thaw_if_frozen()

    def _thaw_if_frozen(self) -> None:
        freezer = self._index.get("freezer", -1)
        if freezer >= 0 and self._read(freezer, "freezer.state") not in ("THAWED", ""):
            self.thaw()

    def oom_kills(self) -> int:
        index = self._index.get("memory", -1)
        text = self._read(index, "memory.oom_control") if index >= 0 else ""
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def _counting(self) -> int:
        # As runc. On a host without it any other hierarchy has the same processes.
        return self._index.get("devices", 0)

    def _joined_by_spawn(self) -> int:
        return self._index.get("", -1)
