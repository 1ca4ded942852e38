# SPDX-License-Identifier: Apache-2.0
"""No cgroup at all: an unprivileged user to whom the host grants none, and no limits are asked for.

The same for `--cgroup-manager disabled`. The container's processes stay in the caller's cgroup.
Whatever a limit would need is refused, never left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from pyrunc.cgroups import check
from pyrunc.cgroups.cgroup import Cgroup, Rows
from pyrunc.cgroups.device_rules import Policy
from pyrunc.cgroups.layout import Layout
from pyrunc.cgroups.manager import Manager, nothing
from pyrunc.cgroups.oom import OomEvents
from pyrunc.cgroups.stats import Stats
from pyrunc.cgroups.write import RESOURCES
from pyrunc.errors import PyruncError
from pyrunc.spec.model_resources import Resources


class NoCgroup(Cgroup):
    """The cgroup of a container that has none.

    Args:
        layout: the host's hierarchies.
        chosen: the caller wants none; otherwise it may not make one.
    """

    exists = False

    def __init__(self, layout: Layout, chosen: bool = False) -> None:
        super().__init__(Layout(layout.kind, ()), [])
        self.chosen = chosen
        self._host = layout

    @property
    def by_controller(self) -> dict[str, str]:
        """The caller's own cgroups: what a cgroup mount of the container shows."""
        rows = self._host.hierarchies
        return {name: h.mount + h.own.rstrip("/") for h in rows for name in h.names}

    def pids(self) -> list[int]:
        raise _missing("find its processes by")

    def populated(self) -> bool:
        return False

    def kill(self) -> None:
        """No process can be found."""

    def frozen(self) -> bool:
        return False

    def freezer(self) -> str:
        return ""

    def freeze(self) -> None:
        raise _missing("be frozen in")

    def thaw(self) -> None:
        """Nothing was frozen."""

    def check_limits(self, resources: Resources, base: str = RESOURCES) -> list[str]:
        if not check.asks_limits(resources):
            return []
        if self.chosen:
            raise PyruncError(
                "limits need a cgroup, and --cgroup-manager is disabled", pointer=base
            )
        raise PyruncError(
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
            pointer=base,
            hint="have systemd delegate a cgroup to you, and use --systemd-cgroup",
        )

    def plan_limits(self, resources: Resources, base: str = RESOURCES) -> Rows:
        return []  # `check_limits` has seen that there is nothing to limit

    def filter_devices(self, policy: Policy) -> None:
        """An unprivileged user cannot make device nodes; the user namespace sees to that."""

    def stats(self) -> Stats:
        raise _missing("count what it uses")

    def oom_kills(self) -> int:
        return 0

    def oom_events(self) -> OomEvents:
        raise _missing("report what happens in it")


class NoManager(Manager):
    """Makes nothing, so that nothing has to be removed."""

    cgroup: NoCgroup

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "manager": "none", "chosen": self.cgroup.chosen}

    def check(self, resources: Resources | None, user_namespace: bool) -> list[str]:
        return self.cgroup.check_limits(resources) if resources else []

    def create(self, pid: int = 0, look: Callable[[], None] = nothing) -> None:
        """The container stays in the caller's cgroup."""

    def apply(
        self,
        resources: Resources | None,
        *,
        filter_required: bool = True,
        own_devices: Sequence[str] = (),
    ) -> list[str]:
        return []


def _missing(what: str) -> PyruncError:
    return PyruncError(
        f"the container has no cgroup to {what}",
        hint="it was created without one: by a user who may not make any, or by "
        "--cgroup-manager disabled",
    )


def wanted(cgroup: Cgroup, cgroups_path: str | None) -> bool:
    """Whether a caller without privileges has to do without a cgroup.

    Args:
        cgroup: the one that would be made.
        cgroups_path: linux.cgroupsPath; a caller that names a cgroup wants that one, or an error.
    """
    if cgroups_path:
        return False
    for directory in cgroup.directories:
        above = os.path.dirname(directory)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
            return True
    return False
