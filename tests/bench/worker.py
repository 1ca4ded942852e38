# SPDX-License-Identifier: Apache-2.0
"""A process that runs one runtime's commands and measures them.

One for each runtime, so that crun can have another root directory: that is entered once, not in
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
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNS = 0x20000
# What an engine gives its runtime, and little more.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
PAUSE = 0.03
MILLI = 1e3
_LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A command of the runtime failed."""


class Cost(NamedTuple):
    """Milliseconds: by the clock, and of the processor (user and system)."""

    wall: float
    cpu: float

    def plus(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


class Runtime(NamedTuple):
    """A column of the report."""

    name: str
    line: tuple[str, ...]  # the command
    root: str  # the directory tree in which it runs


class Worker:
    """The harness's side: calls are carried out in the worker's process."""

    def __init__(self, runtime: Runtime, made: Callable[[], Any]) -> None:
        self.name = runtime.name
        to_worker, ours = os.pipe(), os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(to_worker[1])
            os.close(ours[0])
            _serve(runtime.root, made, to_worker[0], ours[1])
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

    def close(self) -> None:
        # Told, not left with an end of file: workers made later hold copies of this pipe.
        pickle.dump(None, self._send)
        self._send.close()
        self._receive.close()
        os.waitpid(self.pid, 0)


def _serve(root: str, made: Callable[[], Any], receive: int, send: int) -> None:
    code = 1
    try:
        # A container's init comes to us when `create` has ended, and is reaped here.
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        commands = made()
        if root != "/":
            _enter(root)
        _loop(commands, os.fdopen(receive, "rb"), os.fdopen(send, "wb"))
        code = 0
    finally:
        os._exit(code)


def _enter(root: str) -> None:
    """Make a tree the root of a mount namespace of our own.

    A mere chroot is not enough: setns(2) into the mount namespace of a container made from there
    leads to the root of the namespace, and so `exec` to the host's programs.
    """
    if _LIBC.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--rbind", root, root], check=True)
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "."], check=True)
    subprocess.run(["/bin/umount", "-l", "."], check=True)
    os.chdir("/")


def _loop(commands: Any, receive: BinaryIO, send: BinaryIO) -> None:
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


def spawn(line: tuple[str, ...]) -> int:
    """Begin a command."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)]
    try:
        return os.posix_spawn(line[0], line, _ENVIRONMENT, file_actions=actions)
    finally:
        os.close(null)


def timed(line: tuple[str, ...], what: str) -> Cost:
    """What one command takes: it and the children that it has waited for.

    After a pause: what the one before has left to the kernel (the end of its cgroup, a wait
    for RCU that the next one would be spared) is not this one's.
    """
    time.sleep(PAUSE)
    begin = time.perf_counter()
    _, status, usage = os.wait4(spawn(line), 0)
    wall = (time.perf_counter() - begin) * MILLI
    if status != 0:
        again = subprocess.run(
            line, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        raise Refused(f"{what}: {again.stderr.strip()[-300:]}")
    return Cost(wall, (usage.ru_utime + usage.ru_stime) * MILLI)


def at_once(lines: list[tuple[str, ...]], what: str) -> float:
    """How many commands a second end, when all are begun at once."""
    time.sleep(PAUSE)
    begin = time.perf_counter()
    pids = [spawn(line) for line in lines]
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(codes):
        raise Refused(f"{what}: {sum(map(bool, codes))} of {len(lines)} at once failed")
    return len(lines) / (time.perf_counter() - begin)


def cpu_of(pid: int) -> float:
    """Milliseconds that a process has had; /proc/PID/stat counts in hundredths of a second."""
    return sum(
        int((task / "schedstat").read_text().split()[0]) / 1e6
        for task in Path(f"/proc/{pid}/task").iterdir()
    )


def reap_orphans(*kept: int) -> float:
    """Wait for those who have come to us, but not for these. Returns their milliseconds."""
    spent = 0.0
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in map(int, children):
        if pid not in kept:
            usage = os.wait4(pid, 0)[2]
            spent += (usage.ru_utime + usage.ru_stime) * MILLI
    return spent
