# SPDX-License-Identifier: Apache-2.0
"""A cgroup that systemd makes: a scope, or a slice, on cgroup v2.

systemd owns the tree there, so it is asked for a unit with `Delegate`, every limit that it has a
property for is reported to it, and the files are written as without it. Reading, freezing and
killing go to the files alone: they must work while no bus answers.

A scope is made around a process that exists, so `create` gets one: pyrunc-init, which waits
for it before it does anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pyrunc.cgroups import devices, unit_annotations, unit_name, unit_properties
from pyrunc.cgroups.cgroup import Rows
from pyrunc.cgroups.cgroup_v2 import UnifiedCgroup
from pyrunc.cgroups.fs_v2 import UnifiedManager
from pyrunc.cgroups.join import Joining
from pyrunc.cgroups.layout import Layout
from pyrunc.cgroups.manager import nothing
from pyrunc.cgroups.unit import Unit, refuse_elsewhere
from pyrunc.cgroups.unit_properties import Property
from pyrunc.cgroups.write import RESOURCES
from pyrunc.errors import BusError, PyruncError
from pyrunc.spec.model_resources import Resources


class UnitCgroup(UnifiedCgroup):
    """A container's cgroup that is a unit's.

    Args:
        layout: the host's hierarchies.
        inner: the unit's path, below the mount.
        unit: the unit.
    """

    def __init__(self, layout: Layout, inner: list[str], unit: Unit) -> None:
        super().__init__(layout, inner)
        self.unit = unit

    def close(self) -> None:
        super().close()
        self.unit.close()

    def check_limits(self, resources: Resources, base: str = RESOURCES) -> list[str]:
        warnings = super().check_limits(resources, base)
        refuse_elsewhere()
        return warnings

    def plan_limits(self, resources: Resources, base: str = RESOURCES) -> Rows:
        rows = super().plan_limits(resources, base)
        cpu = resources.cpu
        if cpu and cpu.quota and cpu.quota > 0:
            # systemd keeps whole percents: the file must agree, or a reload would change it.
            rounded = str(unit_properties.rounded_quota(cpu.quota, cpu.period or 0))
            for limit in rows[0][1]:
                if limit.file == "cpu.max" and limit.pointer.endswith("/cpu/quota"):
                    limit.value = f"{rounded} {limit.value.split()[1]}"
        return rows

    def report(self, resources: Resources) -> Callable[[], None]:
        found = unit_properties.of_resources(resources, self.unit.version)
        old = self.unit.current(found)
        self.unit.set(found)
        return lambda: self.unit.set(old)


class SystemdManager(UnifiedManager):
    """Has systemd make the cgroup, as a unit.

    Args:
        cgroup: of the unit.
        owned: as in `Manager`.
        base: the properties of the unit itself, for `create`.
        annotated: those that annotations ask for.
    """

    cgroup: UnitCgroup
    needs_process = True

    def __init__(
        self,
        cgroup: UnitCgroup,
        owned: bool = False,
        *,
        base: Collection[Property] = (),
        annotated: Collection[Property] = (),
    ) -> None:
        super().__init__(cgroup, owned)
        self._properties = [*base, *annotated]
        self._base, self._annotated = base, annotated
        self._asked = False  # for the unit, by this process

    def to_dict(self) -> dict[str, Any]:
        unit = self.cgroup.unit
        return {**super().to_dict(), "manager": "systemd", "unit": unit.name, "user": unit.user}

    def check(self, resources: Resources | None, user_namespace: bool) -> list[str]:
        warnings = super().check(resources, user_namespace)
        refuse_elsewhere()
        found = [*self._base]
        if resources is not None:
            found += unit_properties.of_resources(resources, self.cgroup.unit.version)
        if resources is not None and not user_namespace:
            found += unit_properties.of_devices(devices.policy(resources.devices))
        # An annotation may say otherwise, as with runc; the files still get the limits.
        self._properties = [*found, *self._annotated]
        return warnings

    def create(self, pid: int = 0, look: Callable[[], None] = nothing) -> None:
        self._refuse_occupied()
        unit = self.cgroup.unit
        processes: list[Property] = [] if unit.is_slice else [("PIDs", "au", [pid])]
        try:
            self._asked = True
            unit.start([*self._properties, *processes], look)
            # From here on the unit is ours, and so is what runs in its cgroup.
            self.owned = True
            if unit.is_slice:
                Joining(self.cgroup).move(pid)
            # systemd may have put a device program there: not a fresh cgroup.
            self.cgroup.dirs.open(0)
            self.use_threaded()
            self._hand_down()
        except BaseException as error:
            self._give_back(error)
            raise

    def _refuse_occupied(self) -> None:
        dirs = self.cgroup.dirs
        if dirs.find(0) >= 0:
            # It was there before the unit is: refused as without systemd.
            self._refuse_used(0)
            self._refuse_frozen()
            dirs.close()

    def _give_back(self, error: BaseException) -> None:
        if not self.owned:
            self.cgroup.close()
            return
        try:
            self.destroy()
        except PyruncError as why:
            error.add_note(f"left behind: {self.cgroup.unit.name}: {why}")

    def undo(self) -> None:
        # Before systemd is asked, what is there of that name is another owner's.
        if self._asked:
            self.destroy()

    def destroy(self, there: Collection[str] = ()) -> None:
        unit = self.cgroup.unit
        # A creation that died between its request and the answer owns nothing, but its unit is
        # there, and stays: what systemd waits for is that processes leave, and none was in it.
        if self.owned or not (unit.is_slice or self.cgroup.populated()):
            try:
                unit.stop()
            except BusError:
                pass  # no systemd, no unit: the directory is all that is left of it
        super().destroy(there)


def new_manager(
    layout: Layout,
    cgroups_path: str | None,
    container_id: str,
    annotations: dict[str, str],
    *,
    user: bool,
) -> SystemdManager:
    """What makes the cgroup of a container. Touches nothing but to ask for a path.

    Raises:
        SpecError: the path or an annotation is wrong.
        BusError: a user's manager cannot be asked where its cgroup is.
        PyruncError: the host has no systemd, or not only cgroup v2.
    """
    asked = unit_name.parse(cgroups_path, container_id, user=user)
    annotated = unit_annotations.properties(annotations)
    refuse_elsewhere()
    if layout.kind != "v2":
        raise PyruncError(
            "the systemd driver needs a host with cgroup v2 only",
            hint="without --systemd-cgroup pyrunc makes the cgroups itself",
        )
    unit = Unit(asked.name, user)
    # A user's units are below user@UID.service, wherever that is.
    prefix = unit.manager_cgroup() if user else ""
    cgroup = UnitCgroup(layout, [prefix + asked.path], unit)
    return SystemdManager(cgroup, base=_base(asked, container_id), annotated=annotated)


def _base(unit: unit_name.UnitName, container_id: str) -> list[Property]:
    found: list[Property] = [("Description", "s", f"pyrunc container {container_id}")]
    if unit.is_slice:
        found.append(("Wants", "as", [unit.slice]))
    else:
        # Without Delegate systemd would move and limit what is below as it likes.
        found += [("Slice", "s", unit.slice), ("Delegate", "b", True)]
    # Accounting brings the controllers; the default dependencies would stop the container
    # too early at shutdown, as engines order that themselves.
    kinds = ("Memory", "CPU", "IO", "Tasks")
    found += [(f"{kind}Accounting", "b", True) for kind in kinds]
    return [*found, ("DefaultDependencies", "b", False)]
