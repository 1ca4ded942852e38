# SPDX-License-Identifier: Apache-2.0
"""One booted guest: a QEMU process, and the channel to the agent in it (agent.py has the words).

Nothing that a guest writes is kept: its disk is a snapshot that goes with QEMU. QEMU goes with the
process that started it, or after some hours when it was told to stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

# Threads of TCG race with the kernel's patching of its own code: the guest would oops. Without
# cx16 the allocator does without cmpxchg16b: right after one of those an oops had a register's
# bits in the flags (QEMU 7.2).
EMULATION = ("-accel", "tcg,thread=single", "-cpu", "max,la57=off,svm=off,cx16=off")
# Without clearing each page that it hands out, the kernel runs runc in half the time.
KERNEL = (
    "root=/dev/vda rw console=ttyS0 panic=-1 net.ifnames=0 mitigations=off init_on_alloc=0 audit=0 "
    "oops=panic no_timer_check tsc=reliable systemd.show_status=0 quiet loglevel=4"
)
BOOT_SECONDS = 300.0  # on a host that has other work as well
ANSWER_SECONDS = 60.0  # of a guest that is up
LIFE_OF_A_KEPT_ONE = "6h"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    # /tmp is a tmpfs without devices: no place for root file systems.
    "TMPDIR": "/var/tmp",
    "PYRUNC_GUEST": "1",
    # See tests/lib/support.py.
    "PYRUNC_TEST_SLOW": "10",
    "PYRUNC_TEST_EVERY": "4",
}


class Lost(Exception):
    """The guest does not answer."""


class NotBooted(Lost):
    """It never did."""


def qemu(place: Path, cpus: int, memory: int) -> list[str]:
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", *EMULATION, "-smp", str(cpus), "-m", str(memory),
        "-kernel", f"{place}/kernel", "-initrd", f"{place}/initrd", "-append", KERNEL,
        "-drive", f"file={place}/image,format=raw,if=virtio,snapshot=on",
        "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        # Named as seen from the directory that QEMU starts in: a socket's path must be short.
        "-chardev", "socket,id=control,path=control,server=on,wait=off",
        "-device", "virtserialport,chardev=control,name=pyrunc.control",
        "-pidfile", "pid",
    ]  # fmt: skip


LOGGED = ("-chardev", "file,id=console,path=console.log", "-serial", "chardev:console")
# Control-A X ends QEMU, Control-C is the guest's.
OURS = ("-serial", "mon:stdio")


class Guest:
    """A guest whose files lie in `directory`: control, pid, console.log, installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, place: Path, cpus: int, memory: int, *, stays: bool, console: bool = False
    ) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("control", "pid", "installed"):
            (self.directory / name).unlink(missing_ok=True)
        if stays:
            keeper = ["timeout", "--kill-after=5", LIFE_OF_A_KEPT_ONE]
        else:
            keeper = ["setpriv", "--pdeathsig=KILL"]
        command = [*keeper, *qemu(place, cpus, memory), *(OURS if console else LOGGED)]
        if console:
            self._process = subprocess.Popen(command, cwd=self.directory)
            return
        with (self.directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=stays,
            )  # fmt: skip

    def wait(self) -> None:
        assert self._process
        self._process.wait()

    def stop(self) -> None:
        """End QEMU, ours or the one that was left running here."""
        if self._process:
            self._process.kill()
            self._process.wait()
        elif pid := self.pid():
            os.kill(pid, 15)
            while self.pid():
                time.sleep(0.05)

    def pid(self) -> int:
        """QEMU's pid, if it runs: the pid in a file may be somebody else's by now."""
        try:
            pid = int((self.directory / "pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            here = os.readlink(f"/proc/{pid}/cwd") == str(self.directory)
        except (OSError, ValueError):
            return 0
        return pid if here and words[0].startswith(b"qemu-system") else 0

    def complaint(self, kind: type[Lost], problem: str) -> Lost:
        said = [problem]
        for name in ("qemu.log", "console.log"):
            path = self.directory / name
            if path.exists() and (text := path.read_text(errors="replace")[-3000:].strip()):
                said.append(f"--- the end of {path}:\n{text}")
        return kind("\n".join(said))

    def connect(self, deadline: float) -> Channel:
        while True:
            if self._process and self._process.poll() is not None:
                raise EOFError
            try:
                return Channel(self.directory, deadline)
            except OSError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(0.05)

    def run(self, wish: Wish, *, boots: bool, timeout: float) -> int:
        """Run one command; its output comes out of our own stdout and stderr."""
        tar = wish.tar
        mark, name = self.directory / "installed", hashlib.sha256(tar).hexdigest()
        if mark.exists() and mark.read_text() == name:
            tar = b""
        mark.unlink(missing_ok=True)
        kind: type[Lost] = NotBooted
        channel = None
        try:
            channel = self.connect(time.monotonic() + (BOOT_SECONDS if boots else ANSWER_SECONDS))
            channel.ask(wish, tar)
            kind = Lost
            mark.write_text(name)
            channel.deadline = time.monotonic() + timeout
            return channel.answer(wish.out)
        except TimeoutError:
            raise self.complaint(kind, "the guest took too long") from None
        except (EOFError, ConnectionError):
            raise self.complaint(kind, "the guest has ended") from None
        finally:
            if channel:
                channel.socket.close()


class Wish:
    """A command to run in the guest."""

    def __init__(self, argv: list[str], tar: bytes, out: Path) -> None:
        self.argv = argv
        self.user = "root"
        self.cwd = "/pyrunc"
        self.env: dict[str, str] = {}
        self.tar = tar
        self.out = out

    def header(self, size: int) -> bytes:
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        asked = {
            "argv": self.argv,
            "user": self.user,
            "cwd": self.cwd,
            "env": {**ENVIRONMENT, "HOME": home, **self.env},
            "bytes": size,
        }
        return json.dumps(asked).encode() + b"\n"


class Channel:
    """One connection, one command."""

    def __init__(self, directory: Path, deadline: float) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.deadline = deadline
        self._read = b""
        place = os.open(directory, os.O_PATH)
        try:
            self.socket.connect(f"/proc/self/fd/{place}/control")
        except OSError:
            self.socket.close()
            raise
        finally:
            os.close(place)

    def _more(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError
        self._read += data

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def ask(self, wish: Wish, tar: bytes) -> None:
        token = secrets.token_hex(16).encode()
        self.socket.settimeout(self.deadline - time.monotonic())
        self.socket.sendall(b"\npyrunc " + token + b"\n" + wish.header(len(tar)) + tar)
        while token + b"\n" not in self._read:
            self._more()
        self._read = self._read.partition(token + b"\n")[2]

    def answer(self, out: Path) -> int:
        streams = {b"1": sys.stdout.buffer, b"2": sys.stderr.buffer}
        unpack: subprocess.Popen[bytes] | None = None
        while True:
            kind, size = struct.unpack(">cI", self._take(5))
            data = self._take(size)
            if kind == b"x":
                break
            if kind == b"f":
                command = ["tar", "-x", "--no-same-owner", "-C", out]
                unpack = unpack or subprocess.Popen(command, stdin=subprocess.PIPE)
                assert unpack.stdin
                unpack.stdin.write(data)
            else:
                streams[kind].write(data)
                streams[kind].flush()
        if unpack:
            unpack.communicate()
            if unpack.returncode:
                raise SystemExit(f"guest: cannot unpack the files into {out}")
        return int(data)
