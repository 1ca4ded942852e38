# SPDX-License-Identifier: Apache-2.0
"""A connection to a D-Bus peer, with jeepney's messages. Knows neither OCI nor systemd.

jeepney writes and reads the messages. The waiting is ours: it has an end, and in the meantime the
caller looks after what it waits for. An answer is read as the type that was requested only, and its
size is bounded.

Values travel as Python objects with a D-Bus signature: "s" and "o" are str, "b" is bool,
"i", "u", "x" and "t" are int, "ay" is bytes, other arrays are lists, "(...)" are tuples, and
"v" is a pair of its signature and its value.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from socket import AF_UNIX, MSG_NOSIGNAL, SO_SNDTIMEO, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET
from socket import socket as open_socket
from struct import error as struct_error
from struct import pack
from time import monotonic
from typing import Any

from jeepney.low_level import (
    Endianness,
    HeaderFields,
    MessageType,
    calc_msg_size,
    header_field_codes,
    parse_signature,
)
from jeepney.wrappers import DBusAddress, new_method_call

from pyrunc.errors import BusError

SECONDS = 30  # for an answer
_LOOK_SECONDS = 0.2
_CHUNK = 1 << 16
_HEAD = 16  # bytes that hold a message's size
_MOST = 16 << 20  # bytes of a message; systemd's have some kilobytes, D-Bus allows 128 MiB
_MOST_WORDS = 4096  # bytes of what comes before the first message
# What jeepney's parser raises for bytes that are not a message.
_NONSENSE = (ValueError, LookupError, TypeError, AssertionError, RecursionError, struct_error)
# The D-Bus specification's authentication. The peer knows from the socket who we are, and knows
# it better: in a user namespace our number is another one. All at once, since the answers are
# looked at before anything else is read.
_WHO_WE_ARE = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"


class Message:
    """A message that has come.

    Args:
        raw: all of its bytes.

    Attributes:
        error: the name of the D-Bus error that it reports, or "".
        signal: the name of a signal, or "".
        sender: of the message; None where no bus is between us.
        reply_to: the number of the call that it answers, or -1.
        values: what it says, once it has been read.

    Raises:
        BusError: it is not a valid message.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        try:
            # D-Bus has no empty structure. It takes no room: an array of such has no end.
            if raw[:1] != b"l" or b"()" in raw[: _HEAD + int.from_bytes(raw[12:16], "little")]:
                raise ValueError
            kind = MessageType(raw[1])
            rows, end = self._one("a(yv)", _HEAD - 4)
            for code, (signature, _) in rows:
                # Unknown codes are to be ignored; jeepney's own reader refuses them.
                if header_field_codes.get(code, signature) != signature:
                    raise ValueError
        except _NONSENSE:
            raise _nonsense() from None
        self._start = -(-end // 8) * 8
        self._fields = fields = {code: value for code, (_, value) in rows}
        self.sender = fields.get(HeaderFields.sender)
        self.error = self.signal = ""
        self.reply_to = -1
        self.values: tuple[Any, ...] = ()
        if kind in (MessageType.method_return, MessageType.error):
            self.reply_to = fields.get(HeaderFields.reply_serial, -1)
        if kind is MessageType.error:
            self.error = fields.get(HeaderFields.error_name) or "without a name"
        if kind is MessageType.signal:
            names = (fields.get(HeaderFields.interface), fields.get(HeaderFields.member))
            self.signal = "{}.{}".format(*names)

    def read(self, signature: str) -> tuple[Any, ...]:
        """Read what it says.

        Args:
            signature: what it must have. A "v" is followed by that of its value: "vt".

        Raises:
            BusError: it says something else.
        """
        try:
            at, values = self._start, []
            expected = signature[:1] if signature[:1] == "v" else signature
            if self._fields.get(HeaderFields.signature, "") != expected:
                raise ValueError
            if expected == "v":
                signature = signature[1:]
                found, at = self._one("g", at)
                if found != signature:
                    raise ValueError
            for kind in split(signature):
                value, at = self._one(kind, at)
                values.append(value)
            if at > len(self._raw):
                raise ValueError
        except _NONSENSE:
            raise _nonsense() from None
        self.values = tuple(values)
        return self.values

    def _one(self, kind: str, at: int) -> tuple[Any, int]:
        found: tuple[Any, int] = parse_signature(list(kind)).parse_data(
            self._raw, at, Endianness.little
        )
        return found


class Connection:
    """A connection to a bus, or to a service itself.

    Args:
        path: of the socket; an abstract one begins with a zero byte.

    Raises:
        OSError: nothing listens there.
        BusError: the peer does not speak D-Bus, or refuses us.
    """

    def __init__(self, path: str) -> None:
        self._socket = open_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        self._poll = select.poll()
        self._buffer = bytearray()
        self._serial = 0
        try:
            # A queue of callers that is full is waited for, but not for ever.
            self._socket.setblocking(True)
            self._socket.setsockopt(SOL_SOCKET, SO_SNDTIMEO, pack("@ll", SECONDS, 0))
            self._socket.connect(path)
            self._socket.setblocking(False)
            self._poll.register(self._socket.fileno())
            self._authenticate()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(
        self,
        address: DBusAddress,
        member: str,
        signature: str,
        values: tuple[Any, ...],
        look: Callable[[], None],
    ) -> int:
        """Send a call.

        Args:
            address: path, service and interface.
            member: the method.
            signature: of its arguments.
            values: the arguments.
            look: called now and then while the peer takes nothing.

        Returns:
            Its number, which the answer will name.

        Raises:
            BusError: the peer takes nothing, or is gone.
        """
        message = new_method_call(address, member, signature or None, _text(values))
        self._serial += 1
        try:
            data = message.serialise(self._serial)
        except (struct_error, ValueError) as error:
            raise BusError("D-Bus", f"a value that it has no room for: {error}") from None
        self._send(data, monotonic() + SECONDS, look)
        return self._serial

    def receive(self, end: float, look: Callable[[], None]) -> Message:
        """The next message that makes sense.

        Args:
            end: until when to wait, by the monotonic clock.
            look: called now and then in the meantime; what it raises ends the wait.

        Raises:
            BusError: none came.
        """
        while True:
            if raw := self._take_message():
                try:
                    return Message(raw)
                except BusError:
                    continue  # over a bus any peer may send us anything
            self._receive_more(end, look)

    def _take_message(self) -> bytes:
        """The first message that has come, b"" while it is not whole."""
        if len(self._buffer) < _HEAD:
            return b""
        try:
            size = calc_msg_size(bytes(self._buffer[:_HEAD]))
        except _NONSENSE:
            raise _nonsense() from None
        if size > _MOST:
            raise BusError("D-Bus", f"a message of {size} bytes is too large")
        if len(self._buffer) < size:
            return b""
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        return raw

    def _authenticate(self) -> None:
        end = monotonic() + SECONDS
        self._send(_WHO_WE_ARE, end, look_at_nothing)
        while self._buffer.count(b"\r\n") < 2 and len(self._buffer) < _MOST_WORDS:
            self._receive_more(end, look_at_nothing)
        first, _, rest = bytes(self._buffer).partition(b"\r\n")
        second, _, rest = rest.partition(b"\r\n")
        # systemd before 246 says OK twice.
        if first not in (b"DATA", second) or not second.startswith(b"OK "):
            raise BusError("D-Bus", "authentication failed")
        self._buffer[:] = rest

    def _send(self, data: bytes, end: float, look: Callable[[], None]) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left, MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, end, look)
            except OSError as error:
                raise BusError("D-Bus", os.strerror(error.errno or 0)) from None

    def _receive_more(self, end: float, look: Callable[[], None]) -> None:
        while True:
            if monotonic() > end:  # also of a peer that never stops talking
                raise BusError("D-Bus", "no answer in time")
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                self._wait(select.POLLIN, end, look)
                continue
            except OSError as error:
                raise BusError("D-Bus", os.strerror(error.errno or 0)) from None
            if not data:
                raise BusError("D-Bus", "the peer has closed the connection")
            self._buffer += data
            return

    def _wait(self, event: int, end: float, look: Callable[[], None]) -> None:
        left = end - monotonic()
        if left < 0:
            raise BusError("D-Bus", "no answer in time")
        look()
        self._poll.modify(self._socket.fileno(), event)
        # Not for long: a signal that comes before the wait does not end it.
        self._poll.poll(min(left, _LOOK_SECONDS) * 1000)


def split(signature: str) -> list[str]:
    """The single complete types of a D-Bus signature: "sa(sv)" is ["s", "a(sv)"]."""
    found, start, depth = [], 0, 0
    for end, letter in enumerate(signature, 1):
        depth += (letter == "(") - (letter == ")")
        if letter != "a" and not depth:
            found.append(signature[start:end])
            start = end
    return found


def _text(value: Any) -> Any:
    """A value whose strings are valid text, as D-Bus requires."""
    if isinstance(value, str):
        if "\0" in value:
            raise BusError("D-Bus", f"a text with a zero byte: {value!r}")
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (tuple, list)):
        return type(value)(_text(part) for part in value)
    return value


def _nonsense() -> BusError:
    return BusError("D-Bus", "the answer is not a valid message")


def look_at_nothing() -> None:
    """For callers that have nothing to look after."""
