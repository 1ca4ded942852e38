# SPDX-License-Identifier: Apache-2.0
"""A unit of systemd, by its manager's bus: started, changed, stopped. Must not touch a cgroup."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pyrunc.cgroups.unit_properties import Property
from pyrunc.errors import BusError, PyruncError
from pyrunc.kernel.bus import Bus
from pyrunc.kernel.dbus import look_at_nothing

_RUNNING = "/run/systemd/system"
_JOB_SECONDS = 30.0
_EXISTS = "org.freedesktop.systemd1.UnitExists"
_NO_UNIT = "org.freedesktop.systemd1.NoSuchUnit"


class Unit:
    """A scope or a slice. The bus is connected to when first used.

    Args:
        name: of the unit.
        user: it belongs to the manager of a user's session.
    """

    def __init__(self, name: str, user: bool) -> None:
        self._bus: Bus | None = None  # first: __del__ runs even if the rest fails
        self.name = name
        self.user = user
        self._version = 0

    def close(self) -> None:
        """Disconnect from the bus. Using it again reconnects."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def __del__(self) -> None:
        try:
            self.close()
        except (OSError, AttributeError):
            pass  # there is no caller to report to

    @property
    def is_slice(self) -> bool:
        """A slice instead of a scope: it takes no processes from StartTransientUnit."""
        return self.name.endswith(".slice")

    def version(self) -> int:
        """The number in "257.9-1~deb13u1"; 0 where it makes no sense."""
        if not self._version:
            digits = ""
            for letter in self._connect().property("Version").removeprefix("v"):
                if not letter.isdigit():
                    break
                digits += letter
            self._version = int(digits or "0")
        return self._version

    def manager_cgroup(self) -> str:
        """The cgroup that the manager's units are below."""
        return self._connect().property("ControlGroup").rstrip("/")

    def start(self, properties: list[Property], look: Callable[[], None]) -> None:
        """Have the unit made.

        Args:
            properties: of it; the last one of a name counts.
            look: called now and then in the meantime; what it raises ends the wait.

        Raises:
            BusError: systemd refuses or does not answer.
        """
        by_name = {name: (kind, value) for name, kind, value in properties}
        none: list[Any] = []  # systemd has yet to find a use for it
        arguments = ("ssa(sv)a(sa(sv))", self.name, "replace", list(by_name.items()), none)
        try:
            result = self._job("StartTransientUnit", *arguments, look=look)
        except BusError as error:
            if error.name != _EXISTS:
                raise
            # The unit of an earlier container that failed; only its name is left.
            self._reset_failed()
            result = self._job("StartTransientUnit", *arguments, look=look)
        if result != "done":
            self._reset_failed()
            raise BusError(f"systemd: start {self.name}", f"its job ended as {result}")

    def stop(self) -> None:
        """Have the unit stopped and forgotten; one that is gone is fine.

        Raises:
            BusError: systemd refuses or does not answer.
        """
        try:
            # Also where its last process is gone: the name must be free when this returns.
            self._job("StopUnit", "ss", self.name, "replace")
        except BusError as error:
            if error.name != _NO_UNIT:
                raise
            return
        self._reset_failed()

    def current(self, properties: list[Property]) -> list[Property]:
        """What these properties are now: what was never set has a value of its own (TasksMax)."""
        bus = self._connect()
        return [
            (name, kind, bus.unit_property(self.name, name, kind)) for name, kind, _ in properties
        ]

    def set(self, properties: list[Property]) -> None:
        """Properties of the unit as it runs, which systemd keeps in /run over a reload."""
        if properties:
            pairs = [(name, (kind, value)) for name, kind, value in properties]
            self._connect().manager("SetUnitProperties", "sba(sv)", self.name, True, pairs)

    def _reset_failed(self) -> None:
        """Have a failed unit forgotten; most are gone already."""
        try:
            self._connect().manager("ResetFailedUnit", "s", self.name)
        except BusError as error:
            if error.name != _NO_UNIT:
                raise

    def _job(
        self, member: str, signature: str, *values: Any, look: Callable[[], None] = look_at_nothing
    ) -> str:
        job = self._connect().job
        return job(member, signature, *values, seconds=_JOB_SECONDS, look=look)

    def _connect(self) -> Bus:
        if self._bus is None:
            self._bus = Bus(self.user)
        return self._bus


def refuse_elsewhere() -> None:
    """Refuse a host without systemd.

    Raises:
        PyruncError: it does not run here.
    """
    if not os.path.isdir(_RUNNING):
        raise PyruncError(
            "systemd not running on this host, cannot use systemd cgroups manager",
            hint="without --systemd-cgroup pyrunc makes the cgroups itself",
        )
