# SPDX-License-Identifier: Apache-2.0
"""Making a cgroup on a host with cgroup v2 only, without systemd.

One directory is made, controllers are handed down to it, and everything else stays as it was.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from typing import NoReturn

from pyrunc.cgroups import check, delegate, tree
from pyrunc.cgroups.cgroup_v2 import UnifiedCgroup
from pyrunc.cgroups.manager import Manager, nothing
from pyrunc.cgroups.place import POINTER
from pyrunc.errors import PyruncError, errno_text
from pyrunc.spec.model_resources import Resources

# Controllers that cannot limit single threads (cgroup-v2.rst, "Threads"), and those that can.
_DOMAIN_ONLY = ("memory", "io", "hugetlb", "rdma", "misc")
_THREADED = ("cpu", "cpuset", "pids")
_IN_THE_WAY = (
    "it has processes of its own; move them to a cgroup below it, or choose another cgroupsPath"
)


class UnifiedManager(Manager):
    """Makes one cgroup, in the one hierarchy there is."""

    cgroup: UnifiedCgroup
    _needed: Collection[str] = ()  # the controllers that limits are asked of

    def check(self, resources: Resources | None, user_namespace: bool) -> list[str]:
        warnings = super().check(resources, user_namespace)
        if resources is not None:
            self._needed = check.wanted(resources, True, "")
        return warnings

    def create(self, pid: int = 0, look: Callable[[], None] = nothing) -> None:
        try:
            self.cgroup.dirs.make(0)
            self._refuse_used(0)
            if not self.cgroup.dirs.new[0]:
                self._refuse_frozen()
            self._hand_down()
            self.use_threaded()
        except BaseException as error:
            self._unmake(error)
            raise
        self.owned = True

    def create_last(self, indexes: Collection[int], needed: Collection[str]) -> None:
        """Make the last directory only, and hand it controllers. See `sub_cgroup.SubCgroup`.

        Next to processes the kernel hands down only what can limit threads, and makes the cgroup
        above the root of a threaded subtree (cgroup-v2.rst, "Threads").
        """
        self._needed = needed
        try:
            self.cgroup.dirs.make(0, last_only=True)
            above = self.cgroup.dirs.inner[0].rpartition("/")[0]
            refused = (errno.EBUSY, errno.EOPNOTSUPP)
            if needed and self._enable(above, sorted(needed)) in refused:
                _refuse_last(needed)
            self.use_threaded()
        except BaseException as error:
            self._unmake(error)
            raise

    def use_threaded(self) -> None:
        """Make the cgroup usable below a threaded one, if no limit forbids that."""
        kind = self.cgroup.dirs.read(0, "cgroup.type")
        if kind in ("domain", ""):
            return
        domain_only = _domain_only(self._needed)
        if domain_only:
            raise PyruncError(
                f"{self.cgroup.directories[0]} is of type {kind}: it cannot have limits on "
                f"{domain_only}",
                pointer=POINTER,
                hint="choose a cgroupsPath that is not below a threaded cgroup",
            )
        if kind == "domain invalid":
            self.cgroup.dirs.write(0, "cgroup.type", "threaded")

    def delegate(self, uid: int) -> None:
        delegate.give(self.cgroup.dirs.open(0), self.cgroup.directories[0], uid)

    def _hand_down(self) -> None:
        """Enable every controller of the host in each cgroup above the container's.

        Failures are kept for the limits: the write that a missing controller makes impossible
        names it, and a container without such a limit does not need it.
        """
        dirs = self.cgroup.dirs
        mount = dirs.layout.hierarchies[0].mount
        wanted = set(tree.words(mount, "", "cgroup.controllers"))
        # Usually the parent has them already, and this one read is all there is to do.
        if wanted <= set(dirs.read(0, "cgroup.controllers").split()):
            return
        threaded = [name for name in _THREADED if name in self._needed]
        above = ""
        for name in dirs.inner[0].split("/")[1:]:
            missing = sorted(wanted - set(tree.words(mount, above, "cgroup.subtree_control")))
            number = self._enable(above, missing) if missing else 0
            # Where there are processes next to the container, as at the root of a container that
            # runs containers, some work one by one and make that cgroup, which is not ours, the
            # root of a threaded subtree. So only what a limit needs, and only if it is of use.
            busy = number in (errno.EBUSY, errno.EOPNOTSUPP)
            alone = () if _domain_only(self._needed) else threaded
            for one in (m for m in missing if number and (not busy or m in alone)):
                self._enable(above, [one])
            above += "/" + name

    def _enable(self, inner: str, names: list[str]) -> int:
        """Hand controllers down to the cgroups below one. The errno, 0 if it is done."""
        mount = self.cgroup.layout.hierarchies[0].mount
        directory, _ = tree.open_below(mount, inner)
        try:
            tree.write(
                directory.fileno(), "cgroup.subtree_control", " ".join("+" + n for n in names)
            )
        except OSError as error:
            number = error.errno or errno.EIO
            reason = _IN_THE_WAY if number == errno.EBUSY else errno_text(number)
            for name in names:
                self.missing[name] = f"{mount}{inner} does not hand it down: {reason}"
            return number
        finally:
            directory.close()
        for name in names:
            self.missing.pop(name, None)
        return 0


def _domain_only(needed: Collection[str]) -> str:
    """The first controller of these that cannot limit single threads, or ""."""
    return next((name for name in _DOMAIN_ONLY if name in needed), "")


def _refuse_last(needed: Collection[str]) -> NoReturn:
    alone = _domain_only(needed)
    if alone:
        raise PyruncError(
            f"{alone} limits for one process next to others are not supported on cgroup v2",
            hint="update the container's, or give this one cpus, cpuset or pids only",
        )
    raise PyruncError(
        "limits for one process are not supported on cgroup v2 while others of the container have "
        "a cgroup of their own without limits",
        hint="try again when those with a timeout have ended",
    )
