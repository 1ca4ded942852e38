# SPDX-License-Identifier: Apache-2.0
"""The D-Bus client with peers that are odd, over real sockets. Real systemd: tests/guest."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from urllib.parse import unquote_to_bytes

import pytest
from jeepney.low_level import (
    Endianness,
    Header,
    HeaderFields,
    Message,
    MessageType,
    Parser,
)

from pyrunc.errors import BusError
from pyrunc.kernel import bus, dbus

WELCOME = b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n"
JOB = "/org/freedesktop/systemd1/job/7"
START = ("StartTransientUnit", "ssa(sv)a(sa(sv))")
UNIT = ("a.scope", "replace", [("Delegate", ("b", True)), ("PIDs", ("au", [1, 2]))], [])
E = Endianness.little


def raw(kind, signature="", body=(), **fields) -> bytes:
    """A message as a peer sends it."""
    found = {HeaderFields[name]: value for name, value in fields.items()}
    if signature:
        found[HeaderFields.signature] = signature
    return Message(Header(E, kind, 0, 1, -1, 1, found), body).serialise(1)


def answer(call: Message, signature="", body=(), **fields) -> bytes:
    serial = call.header.serial
    return raw(MessageType.method_return, signature, body, reply_serial=serial, **fields)


def removed(result="done", path=JOB, **fields) -> bytes:
    names = {"interface": bus.MANAGER, "member": "JobRemoved", "path": bus.MANAGER_PATH}
    return raw(MessageType.signal, "uoss", (7, path, "a.scope", result), **names, **fields)


class Peer:
    """One end of a connection, in a thread: what `play` does with the socket."""

    def __init__(self, path, play, welcome=WELCOME) -> None:
        self.calls: list[Message] = []
        self.play, self.welcome = play, welcome
        self.parser = Parser()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.listening.settimeout(20)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        with self.listening:
            self.socket, _ = self.listening.accept()
        with self.socket, contextlib.suppress(OSError):
            self.socket.settimeout(20)
            self.first = self.socket.recv(4096)
            start = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
            assert self.first.startswith(start)
            self.parser.add_data(self.first[len(start) :])
            self.send(self.welcome)
            self.play(self)
            while self.socket.recv(4096):  # until the client goes
                pass

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def call(self) -> Message:
        """The client's next call."""
        while (message := self.parser.get_next_message()) is None:
            data = self.socket.recv(4096)
            if not data:
                raise OSError
            self.parser.add_data(data)
        self.calls.append(message)
        return message


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Makes a peer that is what a user's manager is reached by."""
    made = []

    def make(play, **options) -> Peer:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        (tmp_path / "systemd").mkdir()
        made.append(Peer(tmp_path / "systemd" / "private", play, **options))
        return made[0]

    yield make
    for one in made:
        one.thread.join(20)
        assert not one.thread.is_alive()


@contextlib.contextmanager
def manager():
    made = bus.Bus(user=True)
    try:
        yield made
    finally:
        made.close()


def start(made, **options):
    return made.job(*START, *UNIT, **({"seconds": 10} | options))


def test_a_job_as_systemd_does_it(peer):
    def play(at):
        call = at.call()
        at.send(removed("failed", "/org/freedesktop/systemd1/job/6"))
        at.send(answer(call, "o", (JOB,)))
        at.send(removed())

    at = peer(play)
    with manager() as made:
        assert start(made) == "done"
    (call,) = at.calls
    assert call.body == UNIT
    assert call.header.fields[HeaderFields.member] == "StartTransientUnit"
    assert call.header.fields[HeaderFields.destination] == "org.freedesktop.systemd1"


def test_a_job_that_is_over_before_the_answer(peer):
    peer(lambda at: at.send(removed() + answer(at.call(), "o", (JOB,))))
    with manager() as made:
        assert start(made) == "done"


def test_on_a_bus_only_who_began_the_job_may_end_it(peer, tmp_path, monkeypatch):
    def play(at):
        for signature, body in (("s", (":1.9",)), ("", ()), ("", ())):
            at.send(answer(at.call(), signature, body, sender="org.freedesktop.DBus"))
        call = at.call()
        at.send(removed("done", sender=":1.66"))
        names = {"interface": bus.MANAGER, "member": "JobRemoved", "path": bus.MANAGER_PATH}
        at.send(raw(MessageType.signal, "u", (7,), sender=":1.66", **names))
        at.send(ODD["no field"] + ODD["variants without end"])
        at.send(answer(call, "o", (JOB,), sender=":1.0"))
        at.send(removed("done", sender=":1.66"))
        at.send(removed("timeout", sender=":1.0"))

    at = peer(play)
    address = f"tcp:host=x,port=1;unix:path={tmp_path}/systemd%2fprivate,guid=00"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    with manager() as made:
        assert start(made) == "timeout"
    members = [call.header.fields[HeaderFields.member] for call in at.calls]
    assert members == ["Hello", "AddMatch", "Subscribe", "StartTransientUnit"]


@pytest.mark.parametrize("name", ["private", "pr%69vate", "priv%c3%a9", "priv\xe9", "priv%ff"])
def test_an_address_with_other_bytes(tmp_path, monkeypatch, name):
    """They are the path's, as the D-Bus specification writes them."""
    place = os.fsencode(tmp_path) + b"/" + unquote_to_bytes(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        monkeypatch.setenv("XDG_RUNTIME_DIR", "")
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/{name}")
        with pytest.raises(BusError) as caught:
            bus.Bus(user=True)
    assert caught.value.reason == "Connection refused"  # by one that is there


def test_what_is_read_is_what_was_asked_for(peer):
    unit = "/org/freedesktop/systemd1/unit/a_2escope"

    def play(at):
        for signature, body in (
            ("o", (unit,)), ("v", (("t", (1 << 64) - 1),)), ("o", (unit,)),
            ("v", (("ay", b"\1\2"),)), ("v", (("s", "257.9"),)), ("v", (("t", 1),)), ("s", ("x",)),
        ):  # fmt: skip
            at.send(answer(at.call(), signature, body))

    at = peer(play)
    with manager() as made:
        assert made.unit_property("a.scope", "MemoryMax", "t") == (1 << 64) - 1
        assert made.unit_property("a.scope", "AllowedCPUs", "ay") == b"\1\2"
        assert made.property("Version") == "257.9"
        for _ in range(2):
            with pytest.raises(BusError, match="Get: the answer is not a valid message"):
                made.property("Version")
    assert at.calls[1].header.fields[HeaderFields.path] == unit


@pytest.mark.parametrize(
    ("signature", "body", "text"),
    [("s", ("not now",), "not now"), ("", (), "org.x.No"), ("u", (1,), "org.x.No")],
)
def test_refusals(peer, signature, body, text):
    def play(at):
        serial = at.call().header.serial
        fields = {"reply_serial": serial, "error_name": "org.x.No"}
        at.send(raw(MessageType.error, signature, body, **fields))

    peer(play)
    with manager() as made, pytest.raises(BusError) as caught:
        made.manager("ResetFailedUnit", "s", "a.scope")
    assert str(caught.value) == f"systemd: ResetFailedUnit: {text}"
    assert caught.value.name == "org.x.No"


def header(fields: bytes, body: int = 0) -> bytes:
    head = struct.pack("<cBBBIII", b"l", 2, 0, 1, body, 1, len(fields))
    return head + fields + b"\0" * (-len(fields) % 8)


NESTED = b"\7\1v\0" + b"\1v\0" * 5000 + b"\1y\0\0"
ODD = {
    "an empty structure": header(b"\7\3a()\0\0\0" + struct.pack("<I", 8) + b"\0" * 16),
    "variants without end": header(NESTED),
    "no type": header(b"\1\1!\0"),
    "no field": header(b"\x2a\1y\0\0\0\0\0"),
    "a signature that stops": header(b"\1\2a(\0\0\0\0"),
    "no text": header(b"\3\1s\0\1\0\0\0\xff\0\0\0"),
    "fields beyond the end": header(b"\3\1s\0\xff\0\0\0x\0\0\0"),
    "the other order of bytes": b"B\2\0\1" + b"\0" * 12,
    "no order of bytes": b"?" * 16,
    "no kind": header(b"").replace(b"l\2", b"l\x09"),
    "too large": struct.pack("<cBBBIII", b"l", 2, 0, 1, (16 << 20) + 1, 1, 0),
    "the largest": b"l" + b"\xff" * 15,
    "nothing, and the end": b"",
    "half a head": b"l\2\0\1",
}


def test_a_field_of_a_later_d_bus_is_ignored(peer):
    """As the specification requires."""

    def play(at):
        serial = at.call().header.serial
        reply = b"\5\1u\0" + struct.pack("<I", serial)
        at.send(header(reply + b"\x0a\1o\0\2\0\0\0/x\0" + b"\0" * 5 + b"\x63\1y\0\1"))

    peer(play)
    with manager() as made:
        made.manager("Subscribe", "")


def test_a_sender_that_is_no_name(peer):
    def play(at):
        call = at.call()
        names = b"\2\1s\0" + struct.pack("<I", len(bus.MANAGER)) + bus.MANAGER.encode() + b"\0"
        names += b"\0" * (-len(names) % 8)
        names += b"\3\1s\0" + struct.pack("<I", 10) + b"JobRemoved\0"
        names += b"\0" * (-len(names) % 8)
        names += b"\x08\1g\0\4uoss\0" + b"\0" * 6
        body = struct.pack("<II", 7, len(JOB)) + JOB.encode() + b"\0"
        for text in (b"a.scope", b"done"):
            body += b"\0" * (-len(body) % 4) + struct.pack("<I", len(text)) + text + b"\0"
        odd = header(names + b"\7\2as\0\0\0\0\0\0\0\0", len(body)) + body
        at.send(odd.replace(b"l\2", b"l\4", 1))
        at.send(answer(call, "o", (JOB,)))
        at.send(removed())

    peer(play)
    with manager() as made:
        assert start(made) == "done"


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_odd_bytes(peer, data):
    def play(at):
        at.call()
        at.send(data)
        at.socket.shutdown(socket.SHUT_WR)

    peer(play)
    with manager() as made, pytest.raises(BusError) as caught:
        made.property("Version")
    assert str(caught.value).startswith("systemd: Get: ")


@pytest.mark.parametrize(
    "welcome",
    [b"REJECTED EXTERNAL\r\nERROR\r\n", b"DATA\r\nREJECTED\r\n", b"x" * 5000, b"\r\n\r\n", b"OK 1"],
)
def test_who_does_not_let_us_in(peer, welcome):
    peer(lambda at: at.socket.shutdown(socket.SHUT_WR), welcome=welcome)
    with pytest.raises(BusError, match=r"^connect to systemd: ") as caught:
        bus.Bus(user=True)
    assert caught.value.hint


def test_the_answers_of_an_older_systemd(peer):
    welcome = b"OK 0123456789abcdef0123456789abcdef\r\n" * 2
    peer(lambda at: at.send(answer(at.call())), welcome=welcome)
    with manager() as made:
        made.manager("Subscribe", "")


def test_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for address in ("", "unix:path=/nowhere", "nonsense", "tcp:host=x", "unix:path=" + "x" * 200):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with pytest.raises(BusError) as caught:
            bus.Bus(user=True)
        assert caught.value.reason == "No such file or directory"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    with pytest.raises(BusError, match="connect to systemd: no socket is known"):
        bus.Bus(user=True)


@pytest.mark.parametrize("talks", [False, True], ids=["silent", "talks"])
def test_the_time_is_bounded(peer, monkeypatch, talks):
    monkeypatch.setattr(bus, "SECONDS", 0.5)

    def play(at):
        at.call()
        while talks:
            at.send(removed(path="/x") * 50)

    peer(play)
    began = time.monotonic()
    with manager() as made, pytest.raises(BusError, match="Get: no answer in time"):
        made.property("Version")
    assert time.monotonic() - began < 5


def test_a_job_without_an_end(peer):
    peer(lambda at: at.send(answer(at.call(), "o", (JOB,))))
    with manager() as made, pytest.raises(BusError, match="wait for a job: no answer in time"):
        start(made, seconds=0.3)


class Enough(Exception):
    pass


@pytest.mark.parametrize("answers", [False, True])
def test_the_caller_looks_meanwhile(peer, answers):
    """Also while systemd has not even answered."""

    def play(at):
        call = at.call()
        if answers:
            at.send(answer(call, "o", (JOB,)))

    looks = []

    def look():
        looks.append(1)
        if len(looks) > 2:
            raise Enough

    peer(play)
    with manager() as made, pytest.raises(Enough):
        start(made, look=look)


def test_a_peer_that_takes_nothing(peer, monkeypatch):
    monkeypatch.setattr(dbus, "SECONDS", 1)
    done = threading.Event()
    peer(lambda _: done.wait(20))
    with manager() as made, pytest.raises(BusError, match="SetUnitProperties: no answer in time"):
        made.manager("SetUnitProperties", "s", "x" * (8 << 20))
    done.set()


def test_a_signal_does_not_end_the_wait(peer):
    def play(at):
        call = at.call()
        for _ in range(3):
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGUSR1)
        at.send(answer(call, "v", (("s", "257"),)))

    peer(play)
    came = []
    before = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    try:
        with manager() as made:
            assert made.property("Version") == "257"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(came) == 3


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("t", 1 << 64, "a value that it has no room for"),
        ("t", -1, "a value that it has no room for"),
        ("s", "a\0b", "a text with a zero byte"),
    ],
)
def test_values_that_d_bus_has_not(peer, kind, value, reason):
    peer(lambda at: None)
    with manager() as made, pytest.raises(BusError, match=f"SetUnitProperties: {reason}"):
        made.manager("SetUnitProperties", "sba(sv)", "a.scope", True, [("x", (kind, value))])


def test_bytes_that_are_no_text_are_replaced(peer):
    at = peer(lambda at: at.send(answer(at.call())))
    with manager() as made:
        made.manager("ResetFailedUnit", "s", "a\udcffb")
    assert at.calls[0].body == ("a?b",)


@pytest.mark.root
@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd is here: tests/guest")
def test_a_host_without_systemd(runtime, bundle):
    bundle.write()
    line = ("--systemd-cgroup", "create", "-b", str(bundle.path), runtime.new_id())
    done = runtime(*line, check=False)
    assert done.returncode == 1
    assert "systemd not running on this host, cannot use systemd cgroups manager" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(runtime.root.glob("*"))
