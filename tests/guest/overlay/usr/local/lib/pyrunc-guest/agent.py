# SPDX-License-Identifier: Apache-2.0
"""The guest's end of the channel: runs one command after another for the host.

The host sends a line "pyrunc TOKEN", a line of JSON (`argv`, `user`, `cwd`, `env`, `bytes`) and
that many bytes of a tar of the project, or none. The answer is the token's line, then frames of a
kind, a length and data: "1" and "2" are the command's output, "f" pieces of a tar of /out, "x" the
exit code, the last. A host that hangs up has its command stopped. What it left in the channel,
either way, comes before the next token and is skipped.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import shutil
import struct
import subprocess
import time

PORT = "/dev/virtio-ports/pyrunc.control"
PROJECT, OUT = "/pyrunc", "/out"
CHUNK = 1 << 16


class HungUp(Exception):
    """The host is gone."""


class Port:
    """The serial port; never waits for a host that has hung up, as plain reads and writes do."""

    def __init__(self) -> None:
        while not os.path.exists(PORT):  # udev is at work
            time.sleep(0.05)
        self.fd = os.open(PORT, os.O_RDWR | os.O_NONBLOCK)
        self._read = b""

    def wait(self, events: int) -> None:
        poll = select.poll()
        poll.register(self.fd, events)
        if any(found & select.POLLHUP for _, found in poll.poll()):
            raise HungUp

    def more(self) -> None:
        while True:
            try:
                data = os.read(self.fd, CHUNK)
            except BlockingIOError:
                self.wait(select.POLLIN)
                continue
            if not data:
                raise HungUp
            self._read += data
            return

    def line(self) -> bytes:
        while b"\n" not in self._read:
            self.more()
        found, _, self._read = self._read.partition(b"\n")
        return found

    def token(self) -> bytes:
        """The first line of a request, however long its host takes to come."""
        while True:
            try:
                found = re.fullmatch(rb"pyrunc (\w{32})", self.line())
            except HungUp:
                time.sleep(0.1)
                self._read = b""
                continue
            if found:
                return found[1]

    def piece(self, most: int) -> bytes:
        if not self._read:
            self.more()
        found, self._read = self._read[:most], self._read[most:]
        return found

    def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                self.wait(select.POLLOUT)

    def frame(self, kind: str, data: bytes) -> None:
        self.write(struct.pack(">cI", kind.encode(), len(data)) + data)


def install(port: Port, size: int) -> None:
    """Put the project that the host has built where it was built for."""
    for entry in os.scandir(PROJECT):
        remove = shutil.rmtree if entry.is_dir(follow_symlinks=False) else os.unlink
        remove(entry.path)
    with subprocess.Popen(["tar", "-x", "-C", PROJECT], stdin=subprocess.PIPE) as tar:
        assert tar.stdin
        while size:
            piece = port.piece(size)
            size -= len(piece)
            tar.stdin.write(piece)
    if tar.returncode:
        raise OSError("tar failed")
    shutil.copy(f"{PROJECT}/dist/pyrunc", "/usr/local/bin/pyrunc")


def command(wish: dict, unit: str) -> list[str]:
    """The command in a scope of its own, and for a user in a login session.

    Root's is a child of ours: it must outlive a test that stops the bus.
    """
    made = ["choom", "-n", "0", "--"]  # the agent's own is not for tests
    made += ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--expand-environment=no"]
    if wish["user"] == "root":
        return [*made, "--scope", "--", *wish["argv"]]
    made += ["--wait", "--pipe", f"--property=User={wish['user']}", "--property=PAMName=login"]
    made += [f"--property=WorkingDirectory={wish['cwd']}"]
    made += [f"--setenv={name}={value}" for name, value in wish["env"].items()]
    # By way of a shell, which tells a deadly signal as everyone does: 128 and its number.
    return [*made, "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", *wish["argv"]]


def stop(unit: str) -> None:
    """End what is left of a command; mostly there is nothing."""
    for kind in ("scope", "service"):
        subprocess.run(
            ["systemctl", "kill", "--signal=KILL", f"{unit}.{kind}"],
            check=False, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def run(port: Port, wish: dict, unit: str) -> int:
    """Run the command and pass its output on as it comes."""
    with subprocess.Popen(
        command(wish, unit), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=wish["cwd"], env=wish["env"], start_new_session=True,
    ) as started:  # fmt: skip
        assert started.stdout
        assert started.stderr
        kinds = {started.stdout.fileno(): "1", started.stderr.fileno(): "2"}
        end = os.pidfd_open(started.pid)
        poll = select.poll()
        # The port: the end of the connection, or already the next one.
        for fd in (*kinds, end, port.fd):
            poll.register(fd, select.POLLIN)
        try:
            while kinds:
                for fd, _ in poll.poll():
                    if fd == port.fd:
                        raise HungUp
                    if fd == end:
                        # What it has left behind may hold the pipes open.
                        stop(unit)
                        poll.unregister(end)
                    elif data := os.read(fd, CHUNK):
                        port.frame(kinds[fd], data)
                    else:
                        del kinds[fd]
                        poll.unregister(fd)
        except HungUp:
            stop(unit)
            raise
        finally:
            os.close(end)
    code = started.returncode
    return code if code >= 0 else 128 - code


def send_files(port: Port) -> None:
    if not os.listdir(OUT):
        return
    with subprocess.Popen(["tar", "-c", "-C", OUT, "."], stdout=subprocess.PIPE) as tar:
        assert tar.stdout
        while data := tar.stdout.read(CHUNK):
            port.frame("f", data)


def serve(port: Port, number: int) -> None:
    token = port.token()
    wish = json.loads(port.line())
    port.write(token + b"\n")
    if wish["bytes"]:
        install(port, wish["bytes"])
    shutil.rmtree(OUT, ignore_errors=True)
    os.mkdir(OUT)
    os.chmod(OUT, 0o1777)
    code = run(port, wish, f"pyrunc-test-command-{number}")
    send_files(port)
    port.frame("x", str(code).encode())


def main() -> None:
    port = Port()
    for number in itertools.count(1):
        try:
            serve(port, number)
        except HungUp:
            continue


main()
