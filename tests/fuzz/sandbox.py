# SPDX-License-Identifier: Apache-2.0
"""Where the fuzzer's command lines run: a process in namespaces of its own, one for each command.

It sees the host's files read-only, a tmpfs where things are written, its own processes, network and
cgroups: in a cgroup that is made for it, which a cgroup namespace makes the root of what it sees.
So whatever a line says, no other container, process, cgroup or file is in reach. All that is left
ends with the process: it is the init of its pid namespace.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

# <linux/sched.h>, <linux/mount.h>
_NEW_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_LIBC = ctypes.CDLL(None, use_errno=True)
WORK = "/mnt"
ROOT = f"{WORK}/state"
# Each command's pid is the one after this: so both sides' commands have the same.
PID = 100_000
SECONDS = 15.0
MOST = 1 << 20


class Line(NamedTuple):
    """What a command is called with."""

    arguments: tuple[bytes, ...]
    environment: tuple[tuple[bytes, bytes], ...] = ()
    closed: tuple[int, ...] = ()  # standard streams
    full: bool = False  # standard output takes nothing
    ignored: tuple[int, ...] = ()  # signals


class Result(NamedTuple):
    """What a command did; its words with pids and times made alike by who compares."""

    code: int | str
    out: bytes
    err: bytes
    files: tuple[tuple[str, bytes], ...]


class Sandbox:
    """One side: a process that runs lines for us.

    Args:
        name: of its cgroup.
        program: the command to be tested.
        busybox: of which a root filesystem is made.
    """

    def __init__(self, name: str, program: list[bytes], busybox: str) -> None:
        self.cgroup = _cgroup2() / name
        self.cgroup.mkdir()
        ours, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ours[0])
            os.close(theirs[1])
            try:
                # It ends when it is told to, or with its parent.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                end_with_parent(signal.SIGKILL)
                (self.cgroup / "cgroup.procs").write_text("0")
                _check(_LIBC.unshare(_NEW_NAMESPACES), "unshare")
                os._exit(_inside(program, busybox, theirs[0], ours[1]))
            except BaseException as error:  # noqa: BLE001
                print(f"fuzz: sandbox: {error!r}", flush=True)
                os._exit(1)
        os.close(ours[1])
        os.close(theirs[0])
        self._receive = os.fdopen(ours[0], "rb")
        self._send = os.fdopen(theirs[1], "wb")

    def ask(self, what: Any) -> None:
        pickle.dump(what, self._send)
        self._send.flush()

    def answer(self) -> Any:
        return pickle.load(self._receive)

    def close(self) -> None:
        try:
            # Told, since the other side holds a copy of this pipe.
            self.ask(None)
            self._send.close()
        except OSError:
            pass  # it has ended
        self._receive.close()
        os.waitpid(self.pid, 0)
        # The namespace's init has ended, and with it all of them; the kernel is not yet done.
        for _ in range(200):
            if _remove(self.cgroup):
                return
            time.sleep(0.05)


def _remove(cgroup: Path) -> bool:
    for path, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            return False
    return True


def _cgroup2() -> Path:
    unified = Path("/sys/fs/cgroup/unified")
    return unified if unified.exists() else Path("/sys/fs/cgroup")


def end_with_parent(number: int) -> None:
    """Have the kernel send a signal to this process when its parent ends."""
    _check(_LIBC.prctl(1, number, 0, 0, 0), "prctl")  # PR_SET_PDEATHSIG


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _inside(program: list[bytes], busybox: str, receive: int, send: int) -> int:
    """In the namespaces but the pid namespace, which begins with a child."""
    child = os.fork()
    if child:
        os.close(receive)
        os.close(send)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_with_parent(signal.SIGKILL)  # and with this one, the namespace's init, all others
    _prepare(busybox)
    _serve(program, os.fdopen(receive, "rb"), os.fdopen(send, "wb"))
    os._exit(0)


def _prepare(busybox: str) -> None:
    os.umask(0o022)
    _mount("--make-rprivate", "/")
    attribute = (ctypes.c_uint64 * 4)(_RDONLY, 0, 0, 0)
    _check(
        _LIBC.syscall(_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attribute, 32),
        "mount_setattr",
    )
    # A socket answers on a read-only filesystem, too: systemd's and the engines' are in /run.
    _mount("-t", "tmpfs", "none", "/run")
    _mount("-t", "tmpfs", "none", WORK)
    _mount("-t", "proc", "proc", "/proc")
    subprocess.run(["umount", "-R", "/sys/fs/cgroup"], check=True)
    _mount("-t", "cgroup2", "none", "/sys/fs/cgroup")
    _make_rootfs(Path(WORK), busybox)


def _make_rootfs(work: Path, busybox: str) -> None:
    programs = work / "rootfs" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(busybox, programs / "busybox")
    for applet in ("sh", "true", "false", "sleep", "id", "cat"):
        (programs / applet).symlink_to("busybox")


def _serve(program: list[bytes], receive: BinaryIO, send: BinaryIO) -> None:
    while True:
        what = pickle.load(receive)
        if what is None:
            return
        if isinstance(what, dict):
            _begin(what)
            continue
        pickle.dump(_run(program, what), send)
        send.flush()


def _begin(bundles: dict[str, bytes]) -> None:
    """Nothing is there but the bundles: of each its config.json."""
    for pid in _others():
        os.kill(pid, signal.SIGKILL)
    while _others():
        _reap()
        time.sleep(0.001)
    for name in ("state", "cwd", "bundles"):
        shutil.rmtree(f"{WORK}/{name}", ignore_errors=True)
    for path in Path("/sys/fs/cgroup").iterdir():
        if path.is_dir():
            _remove(path)
    os.mkdir(f"{WORK}/cwd")
    for name, text in bundles.items():
        os.makedirs(f"{WORK}/bundles/{name}")
        Path(f"{WORK}/bundles/{name}/config.json").write_bytes(text)
        os.symlink("../../rootfs", f"{WORK}/bundles/{name}/rootfs")


def _others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _run(program: list[bytes], line: Line) -> Result:
    streams = [os.open("/dev/null", os.O_RDWR), os.memfd_create("out"), os.memfd_create("err")]
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(PID))
    pid = os.fork()
    if pid == 0:
        _become([*program, *line.arguments], line, streams)
    code = _wait(pid)
    _settle()
    texts = []
    for fd in streams:
        os.lseek(fd, 0, os.SEEK_SET)
        texts.append(os.read(fd, MOST))
        os.close(fd)
    return Result(code, texts[1], texts[2], _files())


def _become(argv: list[bytes], line: Line, streams: list[int]) -> NoReturn:
    try:
        os.setsid()
        os.chdir(f"{WORK}/cwd")
        for fd, stream in enumerate(streams):
            os.dup2(stream, fd, inheritable=True)
        for fd in line.closed:
            os.close(fd)
        if line.full:
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1, inheritable=True)
        for number in line.ignored:
            signal.signal(number, signal.SIG_IGN)
        os.closerange(3, 64)
        os.execve(argv[0], argv, dict(line.environment))
    finally:
        os._exit(126)


def _wait(pid: int) -> int | str:
    """Its exit status; whoever runs for too long is killed, with its session's processes."""
    pidfd = os.pidfd_open(pid)
    ready = select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status) if ready else "took too long"


def _settle() -> None:
    """Until what the line has begun or ended sleeps or is gone: the next one is not to see which of
    the two commands was faster."""
    for _ in range(100):
        _reap()
        states = []
        for pid in _others():
            try:
                states.append(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2][1:2])
            except OSError:
                continue
        if all(state in (b"S", b"T") for state in states):
            return
        time.sleep(0.002)


def _files() -> tuple[tuple[str, bytes], ...]:
    """What lies in the working directory: logs, pid files, what `spec` writes."""
    found = []
    for path in sorted(Path(f"{WORK}/cwd").iterdir()):
        found.append((path.name, path.read_bytes()[:MOST] if path.is_file() else b""))
    return tuple(found)
