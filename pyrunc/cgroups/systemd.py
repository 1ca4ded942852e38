# SPDX-License-Identifier: Apache-2.0
"""The driver that lets systemd make the cgroup: a scope, or a slice, on cgroup v2.

systemd owns the tree there, so it is asked for a unit with `Delegate`, told every limit that
it has a property for, and the files are written as the fs driver writes them. Reading,
freezing and killing go to the files alone: they must work while no bus answers.

A scope is made around a process that exists, so `create` gets one: pyrunc-init, which waits
for it before it does anything else.
"""

from __future__ import annotations

import os

from pyrunc.cgroups import unit_name
from pyrunc.cgroups.fs_v2 import UnifiedDriver
from pyrunc.errors import BusError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.limits import Limit
    from pyrunc.cgroups.unit_properties import Property
    from pyrunc.kernel.bus import Bus
    from pyrunc.spec.model_resources import Resources

_RUNNING = "/run/systemd/system"
_JOB_SECONDS = 30.0
_EXISTS = "org.freedesktop.systemd1.UnitExists"
_NO_UNIT = "org.freedesktop.systemd1.NoSuchUnit"


class SystemdDriver(UnifiedDriver):
    """A container's cgroup as a unit of systemd.

    Args:
        layout: the host's hierarchies.
        inner: the unit's path, below the mount.
        unit: the unit's name.
        user: it belongs to the manager of a user's session.
        owned: as in `Driver`.
    """

    needs_process = True

    def __init__(
        self, layout: Layout, inner: list[str], unit: str, user: bool, owned: bool = False
    ) -> None:
        super().__init__(layout, inner, owned)
        self.unit = unit
        self.user = user
        self._slice = ""
        self._id = ""
        self._properties: list[Property] = []
        self._bus: Bus | None = None
        self._version = 0
        self._asked = False  # for the unit, by this process

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "manager": "systemd", "unit": self.unit, "user": self.user}

    def close(self) -> None:
        super().close()
        bus, self._bus = getattr(self, "_bus", None), None
        if bus is not None:
            bus.close()

    def describe(self, unit: unit_name.Unit, container_id: str, more: list[Property]) -> None:
        """What only `create` has to know.

        Args:
            unit: as asked for.
            container_id: for people who list units.
            more: properties that annotations ask for.
        """
        self._slice = unit.slice
        self._id = container_id
        self._properties = more

    def check(self, resources: Resources | None, user_namespace: bool) -> None:
        super().check(resources, user_namespace)
        _refuse_elsewhere()
        properties = self._base()
        if resources is not None:
            from pyrunc.cgroups import unit_properties

            properties += unit_properties.of_resources(resources, self._systemd_version)
        if resources is not None and not user_namespace:
            from pyrunc.cgroups import devices, unit_properties

            properties += unit_properties.of_devices(devices.policy(resources.devices))
        # An annotation may say otherwise, as with runc; the files still get the limits.
        self._properties = properties + self._properties

    def _base(self) -> list[Property]:
        found: list[Property] = [("Description", "s", f"pyrunc container {self._id}")]
        if self.unit.endswith(".slice"):
            found.append(("Wants", "as", [self._slice]))
        else:
            # Without Delegate systemd would move and limit what is below as it likes.
            found += [("Slice", "s", self._slice), ("Delegate", "b", True)]
        # Accounting brings the controllers; the default dependencies would stop the container
        # too early at shutdown, as engines order that themselves.
        kinds = ("Memory", "CPU", "IO", "Tasks")
        found += [(f"{kind}Accounting", "b", True) for kind in kinds]
        return [*found, ("DefaultDependencies", "b", False)]

    def create_around(self, pid: int, look: Callable[[], None]) -> None:
        """Have the unit made, with a process in it.

        Args:
            pid: the process, which waits meanwhile.
            look: called now and then meanwhile; what it raises ends the wait.

        Raises:
            BusError: systemd refuses or does not answer.
            PyruncError: the cgroup is in use.
            CgroupError: the kernel refuses.
        """
        self._refuse_occupied()
        properties = {name: (kind, value) for name, kind, value in self._properties}
        if not self.unit.endswith(".slice"):
            properties["PIDs"] = ("au", [pid])
        try:
            self._start(list(properties.items()), look)
            # From here on the unit is ours, and so is what runs in its cgroup.
            self.owned = True
            if self.unit.endswith(".slice"):
                self.attach(pid)
            # systemd may have put a device program there: not a fresh cgroup.
            self._open(0)
            self.use_threaded()
            self._hand_down()
        except BaseException as error:
            self._give_back(error)
            raise

    def _refuse_occupied(self) -> None:
        if self._find(0) < 0:
            return
        # It was there before the unit is: as the fs driver refuses it.
        self._refuse_used(0)
        self._refuse_frozen()
        super().close()

    def _start(
        self, properties: list[tuple[str, tuple[str, Any]]], look: Callable[[], None]
    ) -> None:
        none: list[Any] = []  # systemd has yet to find a use for it
        arguments = (self.unit, "replace", properties, none)
        self._asked = True
        try:
            result = self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", *arguments, look=look)
        except BusError as error:
            if error.name != _EXISTS:
                raise
            # The unit of an earlier container that failed; it is only a name by now.
            self._reset_failed()
            result = self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", *arguments, look=look)
        if result != "done":
            self._reset_failed()
            raise BusError(f"systemd: start {self.unit}", f"its job ended as {result}")

    def _give_back(self, error: BaseException) -> None:
        if not self.owned:
            self.close()
            return
        try:
            self.destroy()
        except PyruncError as why:
            error.add_note(f"left behind: {self.unit}: {why}")

    def _limits(self, resources: Resources) -> list[Limit]:
        found = super()._limits(resources)
        cpu = resources.cpu
        if cpu and cpu.quota and cpu.quota > 0:
            from pyrunc.cgroups.unit_properties import rounded_quota

            # systemd keeps whole percents: the file must agree, or a reload would change it.
            rounded = str(rounded_quota(cpu.quota, cpu.period or 0))
            for limit in found:
                if limit.file == "cpu.max" and limit.pointer.endswith("/cpu/quota"):
                    limit.value = f"{rounded} {limit.value.split()[1]}"
        return found

    def announce(self, resources: Resources) -> Callable[[], None]:
        from pyrunc.cgroups import unit_properties

        found = unit_properties.of_resources(resources, self._systemd_version)
        bus = self._connect()
        # Asked of systemd: what was never set has a value of its own (TasksMax).
        old = [(name, kind, bus.unit_property(self.unit, name, kind)) for name, kind, _ in found]
        self._set(found)
        return lambda: self._set(old)

    def _set(self, properties: list[Property]) -> None:
        """Properties of the unit as it runs, which systemd keeps in /run over a reload."""
        if properties:
            pairs = [(name, (kind, value)) for name, kind, value in properties]
            self._connect().manager("SetUnitProperties", "sba(sv)", self.unit, True, pairs)

    def spawn_fd(self) -> int:
        # While the unit is only described there is no cgroup yet.
        return -1 if self._properties else super().spawn_fd()

    def join_fds(self) -> list[int]:
        # systemd moves the first process.
        return [] if self._properties else super().join_fds()

    def undo(self) -> None:
        # Before systemd is asked, what is there of that name is somebody else's.
        if self._asked:
            self.destroy()

    def destroy(self) -> None:
        # A creation that died between its request and the answer owns nothing, but its unit is
        # there, and stays: what systemd waits for is that processes leave, and none was in it.
        if self.owned or not (self.unit.endswith(".slice") or self.populated()):
            try:
                self._stop()
            except BusError as error:
                # No systemd, no unit: the directory is all that is left of it.
                self.warnings.append(str(error))
        super().destroy()

    def _stop(self) -> None:
        try:
            # Also where its last process is gone: the name must be free when this returns.
            self._job("StopUnit", "ss", self.unit, "replace")
        except BusError as error:
            if error.name != _NO_UNIT:
                raise
            return
        self._reset_failed()

    def _reset_failed(self) -> None:
        """Have a failed unit forgotten; most are gone already."""
        try:
            self._connect().manager("ResetFailedUnit", "s", self.unit)
        except BusError as error:
            if error.name != _NO_UNIT:
                raise

    def _job(
        self, member: str, signature: str, *values: Any, look: Callable[[], None] = lambda: None
    ) -> str:
        job = self._connect().job
        return job(member, signature, *values, seconds=_JOB_SECONDS, look=look)

    def _connect(self) -> Bus:
        if self._bus is None:
            from pyrunc.kernel.bus import Bus

            self._bus = Bus(self.user)
        return self._bus

    def _systemd_version(self) -> int:
        """The number in "257.9-1~deb13u1"; 0 where it makes no sense."""
        if not self._version:
            digits = ""
            for letter in self._connect().property("Version").removeprefix("v"):
                if not letter.isdigit():
                    break
                digits += letter
            self._version = int(digits or "0")
        return self._version


def new(
    layout: Layout, cgroups_path: str | None, container_id: str, annotations: dict[str, str]
) -> SystemdDriver:
    """The driver for a container that is to be made. Touches nothing but to ask for a path.

    Raises:
        SpecError: the path or an annotation is wrong.
        BusError: a user's manager cannot be asked where its cgroup is.
        PyruncError: the host has no systemd, or not only cgroup v2.
    """
    from pyrunc.cgroups import is_ordinary_user, unit_annotations

    user = is_ordinary_user()
    unit = unit_name.parse(cgroups_path, container_id, user=user)
    more = unit_annotations.properties(annotations)
    _refuse_elsewhere()
    if layout.kind != "v2":
        raise PyruncError(
            "the systemd driver needs a host with cgroup v2 only",
            hint="without --systemd-cgroup pyrunc makes the cgroups itself",
        )
    prefix = ""
    bus = None
    if user:
        from pyrunc.kernel.bus import Bus

        # A user's units are below user@UID.service, wherever that is.
        bus = Bus(user)
        prefix = bus.property("ControlGroup").rstrip("/")
    driver = SystemdDriver(layout, [prefix + unit.path], unit.name, user)
    driver._bus = bus
    driver.describe(unit, container_id, more)
    return driver


def _refuse_elsewhere() -> None:
    if not os.path.isdir(_RUNNING):
        raise PyruncError(
            "systemd not running on this host, cannot use systemd cgroups manager",
            hint="without --systemd-cgroup pyrunc makes the cgroups itself",
        )
