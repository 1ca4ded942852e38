# SPDX-License-Identifier: Apache-2.0
"""The driver for cgroup v2, writing to the cgroup filesystem itself.

It makes one directory, hands controllers down to it, and leaves everything it did not make
as it was. It must not know how a limit is computed: the controllers' files do.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cgroups import tree
from pyrunc.cgroups.driver import POINTER, Driver, asks_limits
from pyrunc.errors import CgroupError, PyruncError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import NoReturn

    from pyrunc.cgroups.limits import Limit
    from pyrunc.cgroups.oom import OomEvents
    from pyrunc.cgroups.stats import Stats
    from pyrunc.spec.model_resources import DeviceRule, Resources

# Up to 1000 looks, 10 ms apart.
_FREEZE_TRIES = 1000
_FREEZE_PAUSE = 0.01
_FIRST_PAUSE = 0.0002
# Controllers that cannot limit single threads (cgroup-v2.rst, "Threads"), and those that can.
_DOMAIN_ONLY = ("memory", "io", "hugetlb", "rdma", "misc")
_THREADED = ("cpu", "cpuset", "pids")
_IN_THE_WAY = (
    "it has processes of its own; move them to a cgroup below it, or choose another cgroupsPath"
)


class UnifiedDriver(Driver):
    """A container's cgroup on a host with cgroup v2 only."""

    _domain_wanted = ""
    _threaded_wanted: tuple[str, ...] = ()

    def check(self, resources: Resources | None, user_namespace: bool) -> None:
        if resources is None:
            return
        if resources.devices:
            from pyrunc.cgroups import devices

            devices.policy(resources.devices)
        if not asks_limits(resources):
            return
        from pyrunc.cgroups import check  # most containers have limits, a `run` by hand has not

        self.warnings += check.values(resources, True, self.base)
        needed = check.wanted(resources, True, self.base)
        if needed:
            mount = self.layout.hierarchies[0].mount
            hint = f"see {mount}/cgroup.controllers"
            check.available(needed, self._root_controllers(), mount, hint)
            self._domain_wanted = next((n for n in _DOMAIN_ONLY if n in needed), "")
            self._threaded_wanted = tuple(n for n in _THREADED if n in needed)

    def create(self) -> None:
        try:
            self._make(0)
            self._refuse_used(0)
            if not self._new[0]:
                self._refuse_frozen()
            self._hand_down()
            self.use_threaded()
        except BaseException as error:
            self._unmake(error)
            raise
        self.owned = True

    def create_leaf(self, indexes: Collection[int], needed: Collection[str]) -> None:
        """Make the last directory only, and hand it controllers. See `below.Leaf`.

        Beside processes the kernel hands down only what can limit threads, and makes the cgroup
        above the root of a threaded subtree (cgroup-v2.rst, "Threads").
        """
        try:
            self._fds[0], self._new[0] = tree.make_leaf(self._mounts[0], self.inner[0], self._made)
            above = self.inner[0].rpartition("/")[0]
            refused = (errno.EBUSY, errno.EOPNOTSUPP)
            if needed and self._enable(above, sorted(needed)) in refused:
                _refuse_leaf(needed)
            self.use_threaded()
        except BaseException as error:
            self._unmake(error)
            raise

    def apply(self, resources: Resources | None) -> None:
        if resources is not None and asks_limits(resources):
            self.put(0, self._limits(resources))

    def planned(self, resources: Resources) -> list[tuple[int, list[Limit]]]:
        return [(0, self._limits(resources))]

    def _limits(self, resources: Resources) -> list[Limit]:
        from pyrunc.cgroups import values_v2

        return values_v2.limits(resources, lambda name: self._read(0, name), self.base)

    def filter_devices(
        self,
        rules: Sequence[DeviceRule],
        *,
        required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> None:
        from pyrunc.cgroups import device_bpf, devices

        policy = devices.policy(rules, own_devices)
        try:
            device_bpf.enforce(self._open(0), self.directories[0], policy, fresh=self._new[0])
        except PyruncError as error:
            if required and not policy.allows_all:
                raise
            self.warnings.append(f"no device filter: {error}")
            return
        self.filtered = True

    def delegate(self, uid: int) -> None:
        from pyrunc.cgroups import delegate

        delegate.give(self._open(0), self.directories[0], uid)

    def populated(self) -> bool:
        return "populated 1" in self._read(0, "cgroup.events")

    def frozen(self) -> bool:
        # What was asked for this cgroup. cgroup.events also says 1 when an ancestor is frozen.
        return self._read(0, "cgroup.freeze") == "1"

    def freezer(self) -> str:
        return self.directories[0]

    def freeze(self) -> None:
        from time import sleep

        pause = _FIRST_PAUSE
        try:
            for _ in range(_FREEZE_TRIES):
                # Again each time: `kill --all` freezes too, and thaws what it has frozen.
                if not self._write(0, "cgroup.freeze", "1"):
                    return
                if "frozen 1" in self._read(0, "cgroup.events"):
                    return
                sleep(pause)
                pause = min(2 * pause, _FREEZE_PAUSE)
            raise PyruncError(f"{self.directories[0]} could not be frozen in time")
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> None:
        self._write(0, "cgroup.freeze", "0")

    def kill(self) -> None:
        # Linux 5.14. SIGKILL reaches what this driver's freezer stopped; no thaw is needed.
        try:
            if self._write(0, "cgroup.kill", "1") or self._find(0) < 0:
                return
        except CgroupError as error:
            # A threaded cgroup shares its processes with others and has no kill of its own.
            if error.errno != errno.EOPNOTSUPP:
                raise
        from pyrunc.cgroups import signals

        try:
            self.freeze()
            signals.kill_members(self.pids)
        except OSError as error:
            raise tree.failure("kill", "pidfd_send_signal", error, self.directories[0]) from error
        finally:
            self.thaw()

    def oom_kills(self) -> int:
        for line in self._read(0, "memory.events").splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def stats(self) -> Stats:
        from pyrunc.cgroups import hugetlb, stats_v2

        return stats_v2.collect(
            lambda name: self._read(0, name), lambda: len(self.pids()), hugetlb.sizes()
        )

    def oom_events(self) -> OomEvents:
        from pyrunc.cgroups import oom

        try:
            return oom.UnifiedEvents(self._open(0), self.directories[0])
        except OSError as error:
            raise tree.failure("watch", "inotify_init1", error, self.directories[0]) from error

    def counting(self) -> int:
        return 0

    def _joined_by_spawn(self) -> int:
        return 0

    def use_threaded(self) -> None:
        """Make the cgroup usable below a threaded one, if no limit forbids that."""
        kind = self._read(0, "cgroup.type")
        if kind in ("domain", ""):
            return
        if self._domain_wanted:
            raise PyruncError(
                f"{self.directories[0]} is of type {kind}: it cannot have limits on "
                f"{self._domain_wanted}",
                pointer=POINTER,
                hint="choose a cgroupsPath that is not below a threaded cgroup",
            )
        if kind == "domain invalid":
            self._write(0, "cgroup.type", "threaded")

    def _root_controllers(self) -> list[str]:
        return self._words("", "cgroup.controllers")

    def _hand_down(self) -> None:
        """Enable every controller of the host in each cgroup above the container's.

        Failures are kept for the limits: the write that a missing controller makes impossible
        names it, and a container that asks for no such limit is none the worse.
        """
        wanted = set(self._root_controllers())
        # Usually the parent has them already, and this one read is all there is to do.
        if wanted <= set(self._read(0, "cgroup.controllers").split()):
            return
        above = ""
        for name in self.inner[0].split("/")[1:]:
            missing = sorted(wanted - set(self._words(above, "cgroup.subtree_control")))
            number = self._enable(above, missing) if missing else 0
            # Where there are processes beside the container, as at the root of a container that
            # runs containers, some work one by one and make that cgroup, which is not ours, the
            # root of a threaded subtree. So only what a limit needs, and only if it is of use.
            busy = number in (errno.EBUSY, errno.EOPNOTSUPP)
            alone = () if self._domain_wanted else self._threaded_wanted
            for one in (m for m in missing if number and (not busy or m in alone)):
                self._enable(above, [one])
            above += "/" + name

    def _enable(self, inner: str, names: list[str]) -> int:
        """Hand controllers down to the cgroups below one. The errno, 0 if it is done."""
        mount = self.layout.hierarchies[0].mount
        fd, _ = tree.open_below(mount, inner)
        try:
            tree.write(fd, "cgroup.subtree_control", " ".join("+" + n for n in names))
        except OSError as error:
            number = error.errno or errno.EIO
            reason = _IN_THE_WAY if number == errno.EBUSY else errno_text(number)
            for name in names:
                self._why[name] = f"{mount}{inner} does not hand it down: {reason}"
            return number
        finally:
            os.close(fd)
        for name in names:
            self._why.pop(name, None)
        return 0

    def _words(self, inner: str, name: str) -> list[str]:
        mount = self.layout.hierarchies[0].mount
        fd, _ = tree.open_below(mount, inner)
        try:
            return tree.read(fd, name).split()
        except OSError as error:
            raise tree.failure("read", "read", error, f"{mount}{inner}/{name}") from error
        finally:
            os.close(fd)


def _refuse_leaf(needed: Collection[str]) -> NoReturn:
    alone = next((name for name in _DOMAIN_ONLY if name in needed), "")
    if alone:
        raise PyruncError(
            f"cgroup v2 has no {alone} limit for one process beside others",
            hint="update the container's, or give this one cpus, cpuset or pids only",
        )
    raise PyruncError(
        "cgroup v2 has no limits for one process while others of the container have a cgroup of "
        "their own without limits",
        hint="try again when those with a time-out have ended",
    )
