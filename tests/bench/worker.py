# SPDX-License-Identifier: Apache-2.0
"""A process that runs one runtime's commands and measures them.

One for each runtime, so that crun can have another root directory: chroot happens once, not in
each measured command. posix_spawn has vfork's speed, and stdio is /dev/null: what is measured
is the command, not the harness.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

_PR_SET_CHILD_SUBREAPER = 36
# What an engine gives its runtime, and little more.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
PAUSE = 0.03
_MILLI = 1e3


class Refused(Exception):
    """A command of the runtime failed."""


class Worker:
    """The harness's side: calls are carried out in the worker's process."""

    def __init__(self, name: str, program: str, root: str, scratch: Path) -> None:
        self.name = name
        to_worker, ours = os.pipe(), os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(to_worker[1])
            os.close(ours[0])
            _serve(_Commands(name, program, root, scratch), to_worker[0], ours[1])
        os.close(to_worker[0])
        os.close(ours[1])
        self._send = os.fdopen(to_worker[1], "wb")
        self._receive = os.fdopen(ours[0], "rb")

    def call(self, name: str, *arguments: Any) -> Any:
        """Run one method of the worker."""
        pickle.dump((name, arguments), self._send)
        self._send.flush()
        failed, value = pickle.load(self._receive)
        if failed:
            raise Refused(value)
        return value

    def version(self) -> str:
        return str(self.call("version"))

    def close(self) -> None:
        # Told, not left with an end of file: workers made later hold copies of this pipe.
        pickle.dump(None, self._send)
        self._send.close()
        self._receive.close()
        os.waitpid(self.pid, 0)


def _serve(commands: _Commands, receive: int, send: int) -> None:
    code = 1
    try:
        _loop(commands, os.fdopen(receive, "rb"), os.fdopen(send, "wb"))
        code = 0
    finally:
        os._exit(code)


def _loop(commands: _Commands, receive: BinaryIO, send: BinaryIO) -> None:
    while True:
        call = pickle.load(receive)
        if call is None:
            return
        name, arguments = call
        try:
            answer = (False, getattr(commands, name)(*arguments))
        except Refused as error:
            answer = (True, str(error))
        pickle.dump(answer, send)
        send.flush()


class _Commands:
    """The worker's side."""

    def __init__(self, name: str, program: str, root: str, scratch: Path) -> None:
        # A container's init comes to us when `create` has ended, and is reaped here.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.program = program
        self.scratch = scratch
        self.state = str(scratch / f"state-{name}")
        self.prefix = f"pyrunc-bench-{os.getpid()}"
        self.count = 0
        self.library: Any = None
        if name == "pyrunc":
            import pyrunc
            import pyrunc.lifecycle.create
            import pyrunc.lifecycle.delete

            self.library = pyrunc.Container
        if root != "/":
            os.chroot(root)
            os.chdir("/")

    def version(self) -> str:
        line = [self.program, "--version"]
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()[0]

    def _spawn(self, *line: str) -> int:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)]
        try:
            return os.posix_spawn(line[0], line, _ENVIRONMENT, file_actions=actions)
        finally:
            os.close(null)

    def _timed(self, *arguments: str) -> float:
        """Milliseconds that one command takes.

        After a pause: what the one before has left to the kernel (the end of its cgroup, a wait
        for RCU that the next one would be spared) is not this one's.
        """
        time.sleep(PAUSE)
        line = (self.program, "--root", self.state, *arguments)
        begin = time.perf_counter()
        _, status = os.waitpid(self._spawn(*line), 0)
        passed = (time.perf_counter() - begin) * _MILLI
        if status != 0:
            again = subprocess.run(
                line, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
            raise Refused(f"{arguments[0]}: {again.stderr.strip()[-300:]}")
        return passed

    def _name(self) -> str:
        self.count += 1
        return f"{self.prefix}-{self.count}"

    def _bundle(self, kind: str) -> str:
        return str(self.scratch / kind)

    def _pid(self) -> int:
        return int((self.scratch / "pid").read_text())

    def _create(self, kind: str, name: str) -> float:
        pid_file = str(self.scratch / "pid")
        return self._timed("create", "--pid-file", pid_file, "-b", self._bundle(kind), name)

    def steps(self) -> dict[str, float]:
        """Each command by itself, on a container that would run for long."""
        name = self._name()
        passed = {"create": self._create("sleep", name)}
        parked = _private_kb(self._pid())
        passed["start"] = self._timed("start", name)
        passed["state"] = self._timed("state", name)
        passed |= self._driven(name)
        passed["kill"] = self._timed("kill", name, "KILL")
        os.waitpid(self._pid(), 0)
        passed["delete"] = self._timed("delete", name)
        return passed | {"parked": parked}

    def _driven(self, name: str) -> dict[str, float]:
        """What is done to a container that runs."""
        passed = {"exec": self._timed("exec", name, "/bin/true")}
        passed["exec-d"] = self._timed("exec", "-d", name, "/bin/true")
        # Its process has come to us, as to any caller that is a subreaper.
        self._reap_other(self._pid())
        passed["ps"] = self._timed("ps", "--format", "json", name)
        passed["pause"] = self._timed("pause", name)
        passed["resume"] = self._timed("resume", name)
        if not self.program.endswith("crun"):  # it has no such command
            passed["events"] = self._timed("events", "--stats", name)
        return passed

    def _reap_other(self, kept: int) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in map(int, children):
            if pid != kept:
                os.waitpid(pid, 0)

    def cycle(self) -> dict[str, float]:
        """create, start and delete of a container that ends by itself."""
        name = self._name()
        passed = self._create("true", name)
        passed += self._timed("start", name)
        os.waitpid(self._pid(), 0)
        return {"cycle": passed + self._timed("delete", name)}

    def run(self) -> dict[str, float]:
        return {"run": self._timed("run", "-b", self._bundle("true"), self._name())}

    def in_process(self) -> dict[str, float]:
        """The library: create, start, wait and delete without any command."""
        if self.library is None:
            return {}
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        begin = time.perf_counter()
        container = self.library.create(
            self._bundle("true"), self._name(), root=self.state, stdio=(null, null, null)
        )
        container.start()
        code = container.wait().code
        container.delete()
        passed = (time.perf_counter() - begin) * _MILLI
        os.close(null)
        if code != 0:
            raise Refused(f"the library's container ended with {code}")
        return {"library": passed}

    def peak(self) -> dict[str, float]:
        """Peak memory of `create` in KB.

        Not by wait4 from here: peak.c says why.
        """
        name = self._name()
        out = self.scratch / "peak"
        command = (self.program, "--root", self.state, "create", "--pid-file")
        arguments = (str(self.scratch / "pid"), "-b", self._bundle("sleep"), name)
        pid = self._spawn(str(self.scratch / "peak-of"), str(out), *command, *arguments)
        if os.waitpid(pid, 0)[1] != 0:
            raise Refused("create under peak-of failed")
        self._timed("kill", name, "KILL")
        os.waitpid(self._pid(), 0)
        self._timed("delete", name)
        return {"peak": float(out.read_text())}


def _private_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return float(
        sum(int(x.split()[1]) for x in lines if x.startswith("Private_") and "Huge" not in x)
    )
