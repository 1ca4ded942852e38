# SPDX-License-Identifier: Apache-2.0
"""No cgroup at all: an ordinary user whose host grants none, and who asks for no limits.

The same for `--cgroup-manager disabled`. The container's processes stay in the caller's cgroup.
Whatever a limit would need is refused, never left out.
"""

from __future__ import annotations

import os

from pyrunc.cgroups.driver import Driver
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.limits import Limit
    from pyrunc.cgroups.oom import OomEvents
    from pyrunc.cgroups.stats import Stats
    from pyrunc.spec.model_resources import DeviceRule, Resources


class NoDriver(Driver):
    """The driver that makes nothing, so that nothing has to be removed.

    Args:
        layout: the host's hierarchies.
        chosen: the caller wants none; otherwise he may not make one.
    """

    exists = False

    def __init__(self, layout: Layout, chosen: bool = False) -> None:
        super().__init__(type(layout)(layout.kind, ()), [])
        self._host = layout
        self._chosen = chosen

    @property
    def paths(self) -> dict[str, str]:
        """The caller's own cgroups: what a cgroup mount of the container shows."""
        rows = self._host.hierarchies
        return {name: h.mount + h.own.rstrip("/") for h in rows for name in h.names}

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "manager": "none", "chosen": self._chosen}

    def check(self, resources: Resources | None, user_namespace: bool) -> None:
        if resources is None:
            return
        from pyrunc.cgroups import driver

        if not driver.asks_limits(resources):
            return
        if self._chosen:
            raise PyruncError(
                "limits need a cgroup, and --cgroup-manager is disabled", pointer=self.base
            )
        raise PyruncError(
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
            pointer=self.base,
            hint="have systemd delegate a cgroup to you, and use --systemd-cgroup",
        )

    def create(self) -> None:
        why = "no cgroup is wanted" if self._chosen else "no permission to make a cgroup"
        self.warnings.append(f"{why}: the container is in the caller's, without a device filter")

    def apply(self, resources: Resources | None) -> None:
        pass

    def planned(self, resources: Resources) -> list[tuple[int, list[Limit]]]:
        return []  # `check` has seen that there is nothing to limit

    def filter_devices(
        self,
        rules: Sequence[DeviceRule],
        *,
        required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> None:
        # An ordinary user's container cannot make device nodes; its user namespace sees to that.
        pass

    def populated(self) -> bool:
        return False

    def frozen(self) -> bool:
        return False

    def freezer(self) -> str:
        return ""

    def freeze(self) -> None:
        raise _missing("be frozen in")

    def thaw(self) -> None:
        pass

    def kill(self) -> None:
        pass

    def oom_kills(self) -> int:
        return 0

    def stats(self) -> Stats:
        raise _missing("count what it uses")

    def oom_events(self) -> OomEvents:
        raise _missing("tell what happens in it")

    def pids(self) -> list[int]:
        raise _missing("find its processes by")

    def spawn_fd(self) -> int:
        return -1

    def join_fds(self) -> list[int]:
        return []


def _missing(what: str) -> PyruncError:
    return PyruncError(
        f"the container has no cgroup to {what}",
        hint="it was created without one: by a user who may not make any, or by "
        "--cgroup-manager disabled",
    )


def wanted(driver: Driver, cgroups_path: str | None) -> bool:
    """Whether a caller without privileges has to do without a cgroup.

    Args:
        driver: the one that would make it.
        cgroups_path: linux.cgroupsPath; who names a cgroup wants that one, or an error.
    """
    if cgroups_path:
        return False
    for directory in driver.directories:
        above = os.path.dirname(directory)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
            return True
    return False
