# SPDX-License-Identifier: Apache-2.0
"""A container's cgroup on a host with cgroup v2 only.

It must not know how a limit is computed: the controllers' files do.
"""

from __future__ import annotations

import errno
from time import sleep

from pyrunc.cgroups import check, device_bpf, hugetlb, signals, stats_v2, tree, values_v2
from pyrunc.cgroups.cgroup import Cgroup, Rows
from pyrunc.cgroups.device_rules import Policy
from pyrunc.cgroups.oom import OomEvents, UnifiedEvents
from pyrunc.cgroups.stats import Stats, pairs
from pyrunc.cgroups.write import RESOURCES
from pyrunc.errors import CgroupError, KernelError, PyruncError
from pyrunc.spec.model_resources import Resources

# Up to 1000 looks, 10 ms apart.
_FREEZE_TRIES = 1000
_FREEZE_PAUSE = 0.01
_FIRST_PAUSE = 0.0002


class UnifiedCgroup(Cgroup):
    """A container's cgroup, in the one hierarchy there is."""

    def populated(self) -> bool:
        return "populated 1" in self._read("cgroup.events")

    def kill(self) -> None:
        # Linux 5.14. SIGKILL reaches what the v2 freezer stopped; no thaw is needed.
        try:
            if self.dirs.write(0, "cgroup.kill", "1") or self.dirs.find(0) < 0:
                return
        except CgroupError as error:
            # A threaded cgroup shares its processes with others and has no kill of its own.
            if error.errno != errno.EOPNOTSUPP:
                raise
        try:
            self.freeze()
            signals.kill_members(self.pids)
        except OSError as error:
            raise tree.failure("kill", "pidfd_send_signal", error, self.directories[0]) from error
        finally:
            self.thaw()

    def frozen(self) -> bool:
        # What was asked for this cgroup. cgroup.events also says 1 when an ancestor is frozen.
        return self._read("cgroup.freeze") == "1"

    def freezer(self) -> str:
        return self.directories[0]

    def freeze(self) -> None:
        pause = _FIRST_PAUSE
        try:
            for _ in range(_FREEZE_TRIES):
                # Again each time: `kill --all` freezes too, and thaws what it has frozen.
                if not self.dirs.write(0, "cgroup.freeze", "1"):
                    return
                if "frozen 1" in self._read("cgroup.events"):
                    return
                sleep(pause)
                pause = min(2 * pause, _FREEZE_PAUSE)
            raise PyruncError(f"timed out freezing {self.directories[0]}")
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> None:
        self.dirs.write(0, "cgroup.freeze", "0")

    def check_limits(self, resources: Resources, base: str = RESOURCES) -> list[str]:
        if not check.asks_limits(resources):
            return []
        warnings = check.values(resources, True, base)
        needed = check.wanted(resources, True, base)
        if needed:
            mount = self.layout.hierarchies[0].mount
            present = tree.words(mount, "", "cgroup.controllers")
            check.available(needed, present, mount, f"see {mount}/cgroup.controllers")
        return warnings

    def plan_limits(self, resources: Resources, base: str = RESOURCES) -> Rows:
        return [(0, values_v2.limits(resources, self._read, base))]

    def filter_devices(self, policy: Policy) -> None:
        fd = self.dirs.open(0)
        device_bpf.enforce(fd, self.directories[0], policy, fresh=self.dirs.new[0])

    def stats(self) -> Stats:
        return stats_v2.collect(self._read, lambda: len(self.pids()), hugetlb.sizes())

    def oom_kills(self) -> int:
        return pairs(self._read("memory.events")).get("oom_kill", 0)

    def oom_events(self) -> OomEvents:
        try:
            return UnifiedEvents(self.dirs.open(0), self.directories[0])
        except (OSError, KernelError) as error:
            raise tree.failure("watch", "inotify_init1", error, self.directories[0]) from error

    def _read(self, name: str) -> str:
        return self.dirs.read(0, name)
