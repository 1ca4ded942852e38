# SPDX-License-Identifier: Apache-2.0
"""A container's cgroup, whoever made it: what is in it, its limits, its freezer, its counters.

This module must not know a hierarchy's files; `cgroup_v1` and `cgroup_v2` do. Making and removing
is for `manager`.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable

from pyrunc.cgroups import check, signals, tree, write
from pyrunc.cgroups.device_rules import Policy
from pyrunc.cgroups.directories import Directories
from pyrunc.cgroups.layout import Layout
from pyrunc.cgroups.oom import OomEvents
from pyrunc.cgroups.stats import Stats
from pyrunc.cgroups.write import RESOURCES, Limit
from pyrunc.errors import CgroupError, PyruncError
from pyrunc.spec.model_resources import Resources

# Limits, with the index of the hierarchy that they are for.
Rows = list[tuple[int, list[Limit]]]


class Cgroup(ABC):
    """A container's cgroup, in every hierarchy of the host. Making the object touches nothing.

    Args:
        layout: the host's hierarchies.
        inner: the container's path in each of them, below the mount.
    """

    exists = True  # there is a cgroup at all

    def __init__(self, layout: Layout, inner: list[str]) -> None:
        self.dirs = Directories(layout, inner)

    def close(self) -> None:
        """Close what it holds open. Using it again reopens that."""
        self.dirs.close()

    @property
    def layout(self) -> Layout:
        """The host's hierarchies."""
        return self.dirs.layout

    @property
    def directories(self) -> list[str]:
        """The absolute path in each hierarchy."""
        return self.dirs.paths

    @property
    def by_controller(self) -> dict[str, str]:
        """Controller to absolute directory; "" is cgroup v2."""
        return {name: self.dirs.paths[index] for name, index in self.dirs.index.items()}

    # Processes.

    def pids(self) -> list[int]:
        """The processes in the cgroup and below it; none when it is gone.

        Raises:
            CgroupError: the kernel refuses.
        """
        return self.dirs.pids(self.dirs.counting)

    @abstractmethod
    def populated(self) -> bool:
        """Whether any process is in the cgroup or below it."""

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL to every process in the cgroup and below it. It is never left frozen.

        Raises:
            CgroupError: the kernel refuses.
        """

    def signal(self, number: int) -> None:
        """Send a signal to every process in the cgroup and below it.

        They are frozen in the meantime, or one could fork out of the list's reach; what was frozen
        stays so, and gets the signal when it is thawed.

        Args:
            number: the signal.

        Raises:
            CgroupError: the kernel refuses.
        """
        if number == signal.SIGKILL:
            self.kill()
            return
        paused = self.frozen()
        try:
            if not paused:
                self._try_to_freeze()
            signals.send(self.pids, number)
        except OSError as error:
            raise tree.failure("unable to signal", "", error, self.directories[0]) from error
        finally:
            if not paused:
                self.thaw()

    def _try_to_freeze(self) -> None:
        """Another may thaw it at the same time, or a process in it not stop: then as they run."""
        try:
            self.freeze()
        except CgroupError:
            raise
        except PyruncError:
            pass  # timed out; `freeze` has thawed what it had frozen

    # The freezer.

    @abstractmethod
    def frozen(self) -> bool:
        """Whether the cgroup itself is frozen; frozen by an ancestor does not count."""

    @abstractmethod
    def freezer(self) -> str:
        """The directory with the file that freezes the cgroup, or ""."""

    @abstractmethod
    def freeze(self) -> None:
        """Freeze the cgroup and wait until it is.

        Raises:
            CgroupError: the kernel refuses; it is thawed again then.
            PyruncError: it takes too long, or there is no freezer; likewise.
        """

    @abstractmethod
    def thaw(self) -> None:
        """Undo `freeze`. A cgroup that is gone, or has no freezer, is fine.

        Raises:
            CgroupError: the kernel refuses.
        """

    # Limits.

    @abstractmethod
    def check_limits(self, resources: Resources, base: str = RESOURCES) -> list[str]:
        """Refuse limits that cannot be set, before anything is done.

        Args:
            resources: linux.resources.
            base: JSON pointer of the resources in their document, for messages.

        Returns:
            Warnings, a line each.

        Raises:
            SpecError: a value is wrong for this cgroup version.
            PyruncError: the host lacks the controller.
        """

    @abstractmethod
    def plan_limits(self, resources: Resources, base: str = RESOURCES) -> Rows:
        """Limits that `check_limits` has seen, in writing order."""

    def set_limits(
        self,
        resources: Resources,
        base: str = RESOURCES,
        missing: dict[str, str] | None = None,
    ) -> list[str]:
        """Set limits that `check_limits` has seen; what is absent stays as it is.

        Args:
            resources, base: as there.
            missing: controller to the reason why it is not enabled here, where that is known.

        Returns:
            Warnings: what is in force in another form than it was asked for, a line each.

        Raises:
            CgroupError: the kernel refuses a value.
            PyruncError: the kernel keeps another value than the one written.
        """
        warnings: list[str] = []
        if check.asks_limits(resources):
            for index, limits in self.plan_limits(resources, base):
                warnings += self.put(index, limits, base, missing)
        return warnings

    def put(
        self,
        index: int,
        limits: list[Limit],
        base: str = RESOURCES,
        missing: dict[str, str] | None = None,
    ) -> list[str]:
        """As `set_limits`, those of one hierarchy."""
        target = write.Target(self.dirs.open(index), self.directories[index], base, missing or {})
        write.write_all(target, limits)
        return target.warnings

    def report(self, resources: Resources) -> Callable[[], None] | None:
        """Report limits to who else writes these files (systemd). Returns the rollback."""
        return None

    @abstractmethod
    def filter_devices(self, policy: Policy) -> None:
        """Enforce a device policy.

        Raises:
            CgroupError: the kernel refuses.
            PyruncError: the kernel does not confirm the policy.
        """

    # Counters.

    @abstractmethod
    def stats(self) -> Stats:
        """What the container has used.

        Raises:
            CgroupError: the kernel refuses to say.
        """

    @abstractmethod
    def oom_kills(self) -> int:
        """How many processes the kernel killed because it was out of memory; 0 when unknown."""

    @abstractmethod
    def oom_events(self) -> OomEvents:
        """The out-of-memory events from now on, which the caller closes.

        Raises:
            PyruncError: there is no such cgroup, or on v1 no memory controller.
            CgroupError: the kernel refuses to say.
        """
