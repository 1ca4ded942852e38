# SPDX-License-Identifier: Apache-2.0
"""A container's cgroups on a host with cgroup v1 controllers, a hybrid one included.

Every limit is a v1 one here. The v2 hierarchy of a hybrid host is there because its cgroup.kill
kills everything at once.
"""

from __future__ import annotations

import errno
import os
from time import sleep

from pyrunc.cgroups import check, devices, hugetlb, signals, stats_v1, tree, values_v1
from pyrunc.cgroups.cgroup import Cgroup, Rows
from pyrunc.cgroups.device_rules import Policy
from pyrunc.cgroups.layout import Layout
from pyrunc.cgroups.oom import LegacyEvents, OomEvents
from pyrunc.cgroups.stats import Stats, pairs
from pyrunc.cgroups.write import RESOURCES
from pyrunc.errors import CgroupError, PyruncError
from pyrunc.spec.model_resources import Resources

# A v1 freezer can stay FREEZING; thawing for a moment gets it unstuck.
_FREEZE_TRIES = 1000
_FREEZE_AGAIN = 50
_FREEZE_PAUSE = 0.01
_FREEZE_LOOK = 0.001


class LegacyCgroup(Cgroup):
    """A container's cgroups, one in each hierarchy."""

    def __init__(self, layout: Layout, inner: list[str]) -> None:
        super().__init__(layout, inner)
        self._freezer = self.dirs.index.get("freezer", -1)
        self._memory = self.dirs.index.get("memory", -1)

    def populated(self) -> bool:
        return bool(self.pids())

    def kill(self) -> None:
        try:
            at_once = self.dirs.write(self.dirs.unified, "cgroup.kill", "1")
            if not at_once and self._freezer >= 0 and self.pids():
                # Frozen they cannot fork out of the reach of the list that is read next.
                self.freeze()
            # Also after cgroup.kill: who joined only the v1 hierarchies is not in its reach.
            signals.kill_members(self.pids)
        except OSError as error:
            path = self.directories[self.dirs.counting]
            raise tree.failure("kill", "pidfd_send_signal", error, path) from error
        finally:
            # A frozen process of v1 dies only when it is thawed, whoever froze it.
            self._thaw_all()

    def frozen(self) -> bool:
        if self._freezer < 0:
            return self.dirs.read(self.dirs.unified, "cgroup.freeze") == "1"
        if self.dirs.read(self._freezer, "freezer.state") in ("THAWED", ""):
            return False
        # Else frozen by an ancestor: thawing this one would do nothing.
        return self.dirs.read(self._freezer, "freezer.self_freezing") == "1"

    def freezer(self) -> str:
        index = self._freezer if self._freezer >= 0 else self.dirs.unified
        return self.directories[index] if index >= 0 else ""

    def freeze(self) -> None:
        if self._freezer < 0:
            raise PyruncError("the v1 freezer hierarchy is not mounted")
        try:
            for attempt in range(1, _FREEZE_TRIES + 1):
                if not self.dirs.write(self._freezer, "freezer.state", "FROZEN"):
                    return
                if self.dirs.read(self._freezer, "freezer.state") in ("FROZEN", ""):
                    return
                if attempt % _FREEZE_AGAIN == 0:
                    self.thaw()
                    sleep(_FREEZE_PAUSE)
                sleep(_FREEZE_LOOK)
            raise PyruncError(f"timed out freezing {self.directories[self._freezer]}")
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> None:
        self.dirs.write(self._freezer, "freezer.state", "THAWED")

    def _thaw_all(self) -> None:
        """Also those below, each of which may be frozen by itself."""
        fd = self.dirs.find(self._freezer)
        for one in tree.walk(fd) if fd >= 0 else ():
            try:
                if tree.read(one, "freezer.state") != "THAWED":
                    tree.write(one, "freezer.state", "THAWED")
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    path = self.directories[self._freezer]
                    raise tree.failure("thaw all of", "write", error, path) from error

    def check_limits(self, resources: Resources, base: str = RESOURCES) -> list[str]:
        if not check.asks_limits(resources):
            return []
        warnings = check.values(resources, False, base)
        self.refuse_missing(check.wanted(resources, False, base))
        return warnings

    def refuse_missing(self, needed: dict[str, str]) -> None:
        """Refuse what the host has no hierarchy for, from `check.wanted`."""
        where = os.path.dirname(self.layout.hierarchies[0].mount)
        check.available(needed, self.dirs.index, where, "its v1 hierarchy is not mounted")

    def plan_limits(self, resources: Resources, base: str = RESOURCES) -> Rows:
        is_new = self._memory >= 0 and self.dirs.new[self._memory]
        groups = values_v1.limits(resources, self._peek, is_new)
        for controller, found in groups:
            self.refuse_missing({controller: base + found[0].pointer})
        return [(self.dirs.index[controller], found) for controller, found in groups]

    def _peek(self, controller: str, name: str) -> str:
        return self.dirs.read(self.dirs.index.get(controller, -1), name)

    def filter_devices(self, policy: Policy) -> None:
        index = self.dirs.index.get("devices", -1)
        if index < 0:
            raise CgroupError("filter devices", "", errno.ENOENT, "devices hierarchy")
        devices.enforce_v1(self.dirs.open(index), self.directories[index], policy)

    def stats(self) -> Stats:
        return stats_v1.collect(self._peek, lambda: len(self.pids()), hugetlb.sizes())

    def oom_kills(self) -> int:
        return pairs(self._peek("memory", "memory.oom_control")).get("oom_kill", 0)

    def oom_events(self) -> OomEvents:
        if self._memory < 0:
            raise PyruncError("the v1 memory hierarchy is not mounted")
        try:
            return LegacyEvents(self.dirs.open(self._memory), self.dirs.find(self.dirs.unified))
        except OSError as error:
            path = f"{self.directories[self._memory]}/memory.oom_control"
            raise tree.failure("watch", "eventfd", error, path) from error
