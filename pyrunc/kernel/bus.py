# SPDX-License-Identifier: Apache-2.0
"""Calls to a systemd manager over D-Bus. Knows nothing of OCI.

Values travel as `pyrunc.kernel.dbus` has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from jeepney.bus import get_connectable_addresses
from jeepney.wrappers import DBusAddress

from pyrunc.errors import BusError
from pyrunc.kernel.dbus import SECONDS, Connection, Message, look_at_nothing

SERVICE = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = SERVICE + ".Manager"
_DBUS = "org.freedesktop.DBus"
_PROPERTIES = _DBUS + ".Properties"
_MANAGER = DBusAddress(MANAGER_PATH, SERVICE, MANAGER)
_BROKER = DBusAddress("/org/freedesktop/DBus", _DBUS, _DBUS)
_REMOVED = MANAGER + ".JobRemoved"
_SYSTEM = "unix:path=/run/dbus/system_bus_socket"


class Bus:
    """A connection to a systemd manager.

    Args:
        user: the manager of the user's session, not the system's.

    Raises:
        BusError: it cannot be reached.
    """

    def __init__(self, user: bool = False) -> None:
        self._ended: dict[tuple[str | None, str], str] = {}  # (sender, job): result
        reason = "no socket is known"
        for path, self._broker in _places(user):
            try:
                self._connection = Connection(path)
            except OSError as error:
                reason = error.strerror or str(error)
            except BusError as error:
                reason = error.reason
            else:
                break
        else:
            raise BusError(
                "connect to systemd",
                reason,
                hint="is it running? without --systemd-cgroup pyrunc makes the cgroup itself",
            )
        if self._broker:
            try:
                self._call(_BROKER, "Hello", "", (), "s")
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def property(self, name: str) -> str:
        """A text property of the manager.

        Raises:
            BusError: systemd refuses.
        """
        address = DBusAddress(MANAGER_PATH, SERVICE, _PROPERTIES)
        return str(self._call(address, "Get", "ss", (MANAGER, name), "vs").values[0])

    def unit_property(self, unit: str, name: str, kind: str) -> Any:
        """A property of a scope or a slice.

        Args:
            unit: its name.
            name: of the property.
            kind: its signature: "t", "b", "s" or "ay".

        Raises:
            BusError: systemd refuses.
        """
        (path,) = self._call(_MANAGER, "GetUnit", "s", (unit,), "o").values
        address = DBusAddress(path, SERVICE, _PROPERTIES)
        interface = f"{SERVICE}.{'Slice' if unit.endswith('.slice') else 'Scope'}"
        return self._call(address, "Get", "ss", (interface, name), f"v{kind}").values[0]

    def manager(self, member: str, signature: str, *values: Any) -> None:
        """Call a method of the manager that answers nothing of interest.

        Raises:
            BusError: systemd refuses.
        """
        self._call(_MANAGER, member, signature, values)

    def job(
        self,
        member: str,
        signature: str,
        *values: Any,
        seconds: float,
        look: Callable[[], None] = look_at_nothing,
    ) -> str:
        """Call a method of the manager that starts a job, and wait for the job's end.

        Args:
            member: the method.
            signature: of its arguments.
            values: its arguments.
            seconds: how long to wait.
            look: called now and then in the meantime; what it raises ends the wait, not the job.

        Returns:
            The job's result, "done" if all is well.

        Raises:
            BusError: systemd refuses, or the time is up.
        """
        self._ended.clear()
        if self._broker:
            rule = f"type='signal',sender='{SERVICE}',interface='{MANAGER}',member='JobRemoved'"
            self._call(_BROKER, "AddMatch", "s", (rule,))
            self.manager("Subscribe", "")
        reply = self._call(_MANAGER, member, signature, values, "o", look)
        # Only the peer that started a job may report its end.
        job = (reply.sender, reply.values[0])
        end = monotonic() + seconds
        try:
            while job not in self._ended:
                self._note(self._connection.receive(end, look))
        except BusError as error:
            raise BusError("systemd: wait for a job", error.reason) from None
        return self._ended[job]

    def _call(
        self,
        address: DBusAddress,
        member: str,
        signature: str,
        values: tuple[Any, ...],
        answer: str = "",
        look: Callable[[], None] = look_at_nothing,
    ) -> Message:
        """Call a method; its answer has the signature `answer`."""
        end = monotonic() + SECONDS
        try:
            number = self._connection.call(address, member, signature, values, look)
            while (reply := self._connection.receive(end, look)).reply_to != number:
                self._note(reply)
            if not reply.error:
                reply.read(answer)
        except BusError as error:
            raise BusError(f"systemd: {member}", error.reason) from None
        if reply.error:
            raise _refusal(member, reply)
        return reply

    def _note(self, message: Message) -> None:
        """A signal may come before the answer to the call that caused it."""
        if message.signal != _REMOVED:
            return
        try:
            _, path, _, result = message.read("uoss")
        except BusError:
            return  # not systemd's: over a bus any peer may send one
        self._ended[message.sender, path] = result


def _places(user: bool) -> Iterator[tuple[str, bool]]:
    """Where a manager may be reached: sockets, and whether a bus is between us."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not user:
        # systemd's own socket: no broker between us, nothing to subscribe to, and it
        # works while the bus is down. Only root may use it, and only in the host's view.
        yield "/run/systemd/private", False
        address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM
    else:
        address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
        if not address and runtime:
            yield runtime + "/bus", True
    # "%c3" is a byte, of which jeepney makes a character: so until then each character is one byte.
    address = os.fsencode(address).decode("latin-1")
    if address:
        try:
            for path in get_connectable_addresses(address):
                yield os.fsdecode(path.encode("latin-1")), True
        except (ValueError, RuntimeError):
            pass  # not an address, or not one of a socket here
    if user and runtime:
        yield runtime + "/systemd/private", False


def _refusal(member: str, reply: Message) -> BusError:
    try:
        (reason,) = reply.read("s")
    except BusError:
        reason = ""  # it has something else to say
    return BusError(f"systemd: {member}", reason or reply.error, reply.error)
