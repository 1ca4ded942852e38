# SPDX-License-Identifier: Apache-2.0
"""Calls to systemd over D-Bus, through libsystemd's own client. Knows nothing of OCI.

Values travel as Python objects beside a D-Bus signature: "s" and "o" are str, "b" is bool,
"i", "u", "x" and "t" are int, "ay" is bytes, other arrays are sequences, "(...)" are
tuples, and "v" is a pair of its signature and its value.
"""

from __future__ import annotations

import os

from pyrunc.errors import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# Why systemd cannot be asked, or "", and what to do.
MISSING = ""
HINT = "install libsystemd and build pyrunc again"
try:
    from pyrunc.kernel._sdbus import ffi, lib
except ImportError as error:
    # Built without it, or the library is not on this host.
    MISSING = str(error)

SERVICE = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = SERVICE + ".Manager"
_DBUS = "org.freedesktop.DBus"
_PRIVATE = "/run/systemd/private"
_NUMBERS = {"b": "int *", "i": "int32_t *", "u": "uint32_t *", "x": "int64_t *", "t": "uint64_t *"}
_CALL_MICROSECONDS = 30_000_000
_LOOK_SECONDS = 0.2


class Bus:
    """A connection to a systemd manager.

    Args:
        user: the manager of the user's session, not the system's.

    Raises:
        BusError: it cannot be reached.
    """

    def __init__(self, user: bool = False) -> None:
        self._bus: Any = None  # first: __del__ runs even if the rest fails
        self._direct = False
        if MISSING:
            raise BusError("systemd cannot be asked", MISSING, hint=HINT)
        first, second = (self._connect_bus, self._connect_direct)
        if not user:
            # systemd's own socket: no broker between us, nothing to subscribe to, and it
            # works while the bus is down. Only root may use it, and only in the host's view.
            first, second = second, first
        if first(user) < 0 and (error := second(user)) < 0:
            raise BusError(
                "connect to systemd",
                os.strerror(-error),
                hint="is it running? without --systemd-cgroup pyrunc makes the cgroup itself",
            )

    def _connect_direct(self, user: bool) -> int:
        path = _PRIVATE
        if user:
            path = os.environ.get("XDG_RUNTIME_DIR", "") + "/systemd/private"
        created = ffi.new("sd_bus **")
        result: int = lib.sd_bus_new(created)
        if result < 0:
            return result
        result = lib.sd_bus_set_address(created[0], f"unix:path={path}".encode())
        if result >= 0:
            result = lib.sd_bus_start(created[0])
        if result < 0:
            lib.sd_bus_flush_close_unref(created[0])
            return result
        self._bus, self._direct = created[0], True
        return result

    def _connect_bus(self, user: bool) -> int:
        created = ffi.new("sd_bus **")
        result: int = (lib.sd_bus_open_user if user else lib.sd_bus_open_system)(created)
        if result >= 0:
            self._bus, self._direct = created[0], False
        return result

    def close(self) -> None:
        """End the connection."""
        if self._bus:
            lib.sd_bus_flush_close_unref(self._bus)
            self._bus = None

    def __del__(self) -> None:
        self.close()

    def property(self, name: str) -> str:
        """A text property of the manager.

        Raises:
            BusError: systemd refuses.
        """
        reply = self._call(
            SERVICE, MANAGER_PATH, _DBUS + ".Properties", "Get", "ss", (MANAGER, name)
        )
        try:
            _check(lib.sd_bus_message_enter_container(reply, b"v", b"s"), "read a property")
            return _read_text(reply)
        finally:
            lib.sd_bus_message_unref(reply)

    def unit_property(self, unit: str, name: str, kind: str) -> Any:
        """A property of a scope or a slice.

        Args:
            unit: its name.
            name: of the property.
            kind: its signature: "t", "b", "s" or "ay".

        Raises:
            BusError: systemd refuses.
        """
        reply = self._call(SERVICE, MANAGER_PATH, MANAGER, "GetUnit", "s", (unit,))
        try:
            path = _read_text(reply, b"o")
        finally:
            lib.sd_bus_message_unref(reply)
        interface = f"{SERVICE}.{'Slice' if unit.endswith('.slice') else 'Scope'}"
        reply = self._call(SERVICE, path, _DBUS + ".Properties", "Get", "ss", (interface, name))
        try:
            opened = lib.sd_bus_message_enter_container(reply, b"v", kind.encode())
            _check(opened, f"read {name}")
            return _read(reply, kind)
        finally:
            lib.sd_bus_message_unref(reply)

    def manager(self, member: str, signature: str, *values: Any) -> None:
        """Call a method of the manager that answers nothing of interest.

        Raises:
            BusError: systemd refuses.
        """
        reply = self._call(SERVICE, MANAGER_PATH, MANAGER, member, signature, values)
        lib.sd_bus_message_unref(reply)

    def job(
        self,
        member: str,
        signature: str,
        *values: Any,
        seconds: float,
        look: Callable[[], None] = lambda: None,
    ) -> str:
        """Call a method of the manager that starts a job, and wait for the job's end.

        Args:
            member: the method.
            signature: of its arguments.
            values: its arguments.
            seconds: how long to wait.
            look: called now and then meanwhile; what it raises ends the wait, not the job.

        Returns:
            The job's result, "done" if all is well.

        Raises:
            BusError: systemd refuses, or the time is up.
        """
        if not self._direct:
            self._subscribe()
        reply = self._call(SERVICE, MANAGER_PATH, MANAGER, member, signature, values)
        try:
            path = _read_text(reply, b"o")
        finally:
            lib.sd_bus_message_unref(reply)
        return self._await_job(path, seconds, look)

    def _subscribe(self) -> None:
        rule = f"type='signal',interface='{MANAGER}',member='JobRemoved'"
        reply = self._call(_DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", (rule,))
        lib.sd_bus_message_unref(reply)
        self.manager("Subscribe", "")

    def _await_job(self, path: str, seconds: float, look: Callable[[], None]) -> str:
        from errno import EINTR
        from time import monotonic

        end = monotonic() + seconds
        message = ffi.new("sd_bus_message **")
        while True:
            message[0] = ffi.NULL
            work = _check(lib.sd_bus_process(self._bus, message), "wait for a job")
            if message[0] != ffi.NULL:
                try:
                    found = _job_removed(message[0])
                finally:
                    lib.sd_bus_message_unref(message[0])
                if found and found[0] == path:
                    return found[1]
            if work:
                continue
            left = end - monotonic()
            if left <= 0:
                raise BusError("wait for a job", f"no answer from systemd in {seconds:g} s")
            look()
            # Not for long: a signal that comes before the wait does not end it.
            waited = lib.sd_bus_wait(self._bus, int(min(left, _LOOK_SECONDS) * 1e6))
            if waited != -EINTR:
                _check(waited, "wait for a job")

    def _call(  # the five parts of an address, and the arguments
        self, service: str, path: str, interface: str, member: str, signature: str, values: Any
    ) -> Any:
        message = ffi.new("sd_bus_message **")
        names = (name.encode() for name in (service, path, interface, member))
        _check(lib.sd_bus_message_new_method_call(self._bus, message, *names), member)
        reply = ffi.new("sd_bus_message **")
        error = ffi.new("sd_bus_error *")
        try:
            for kind, value in zip(split(signature), values, strict=True):
                _append(message[0], kind, value)
            result = lib.sd_bus_call(self._bus, message[0], _CALL_MICROSECONDS, error, reply)
            if result < 0:
                raise _refusal(member, result, error)
        finally:
            lib.sd_bus_error_free(error)
            lib.sd_bus_message_unref(message[0])
        return reply[0]


def split(signature: str) -> list[str]:
    """The single complete types of a D-Bus signature: "sa(sv)" is ["s", "a(sv)"]."""
    found, start, depth = [], 0, 0
    for end, letter in enumerate(signature, 1):
        depth += (letter == "(") - (letter == ")")
        if letter != "a" and not depth:
            found.append(signature[start:end])
            start = end
    return found


def _append(message: Any, kind: str, value: Any) -> None:
    code = kind[0]
    if code in _NUMBERS:
        number = ffi.new(_NUMBERS[code], value)
        _check(lib.sd_bus_message_append_basic(message, code.encode(), number), "append")
    elif code in "so":
        # Of what came as bytes the rest is not text; systemd takes UTF-8 alone.
        text = ffi.new("char[]", value.encode("utf-8", "replace"))
        _check(lib.sd_bus_message_append_basic(message, code.encode(), text), "append")
    elif kind == "ay":
        _check(lib.sd_bus_message_append_array(message, b"y", value, len(value)), "append")
    elif code == "a":
        _container(message, "a", kind[1:], [(kind[1:], item) for item in value])
    elif code == "(":
        inside = kind[1:-1]
        _container(message, "r", inside, list(zip(split(inside), value, strict=True)))
    elif code == "v":
        _container(message, "v", value[0], [value])
    else:
        raise ValueError(f"no D-Bus type: {kind}")


def _container(message: Any, code: str, contents: str, items: Sequence[tuple[str, Any]]) -> None:
    opened = lib.sd_bus_message_open_container(message, code.encode(), contents.encode())
    _check(opened, "append")
    for kind, value in items:
        _append(message, kind, value)
    _check(lib.sd_bus_message_close_container(message), "append")


def _job_removed(message: Any) -> tuple[str, str] | None:
    """Path and result of the job that a signal says is over."""
    if lib.sd_bus_message_is_signal(message, MANAGER.encode(), b"JobRemoved") <= 0:
        return None
    _check(lib.sd_bus_message_read_basic(message, b"u", ffi.new("uint32_t *")), "read a signal")
    path, _, result = (_read_text(message, kind) for kind in (b"o", b"s", b"s"))
    return path, result


def _read(message: Any, kind: str) -> Any:
    if kind == "s":
        return _read_text(message)
    if kind == "ay":
        _check(lib.sd_bus_message_enter_container(message, b"a", b"y"), "read an answer")
        byte, found = ffi.new("uint8_t *"), bytearray()
        while _check(lib.sd_bus_message_read_basic(message, b"y", byte), "read an answer"):
            found.append(byte[0])
        return bytes(found)
    number = ffi.new(_NUMBERS[kind])
    _check(lib.sd_bus_message_read_basic(message, kind.encode(), number), "read an answer")
    return bool(number[0]) if kind == "b" else number[0]


def _read_text(message: Any, kind: bytes = b"s") -> str:
    text = ffi.new("char **")
    if _check(lib.sd_bus_message_read_basic(message, kind, text), "read an answer") == 0:
        raise BusError("read an answer", "it is too short")
    return str(ffi.string(text[0]).decode("utf-8", "replace"))


def _refusal(member: str, result: int, error: Any) -> BusError:
    name = ffi.string(error.name).decode() if error.name != ffi.NULL else ""
    reason = ffi.string(error.message).decode("utf-8", "replace") if error.message else ""
    return BusError(f"systemd: {member}", reason or os.strerror(-result), name)


def _check(result: int, what: str) -> int:
    if result < 0:
        raise BusError(f"systemd: {what}", os.strerror(-result))
    return result
