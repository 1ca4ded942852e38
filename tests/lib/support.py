# SPDX-License-Identifier: Apache-2.0
"""Bundles and runtimes for the tests that ask the real kernel."""

from __future__ import annotations

import array
import copy
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lib import executable

TOP = Path(__file__).resolve().parents[2]
# The executable; where it has not been built, and with PYRUNC_COMMAND=.venv/bin/pyrunc, the same as
# an ordinary program of Python.
PLAIN = f"{sys.prefix}/bin/pyrunc"
PYRUNC = os.path.abspath(
    os.environ.get("PYRUNC_COMMAND") or (executable.PATH if executable.PATH.exists() else PLAIN)
)
IS_EXECUTABLE = Path(PYRUNC).read_bytes()[:4] == b"\x7fELF"
GUEST = "PYRUNC_GUEST" in os.environ
V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
# Emulated machines are ten times slower: every limit of time in a test is multiplied by this.
SLOW = float(os.environ.get("PYRUNC_TEST_SLOW", "1"))
# And the longest tests take one case of so many; conftest.py says so in the summary.
EVERY = int(os.environ.get("PYRUNC_TEST_EVERY", "1"))
APPLETS = (
    "sh", "cat", "echo", "env", "false", "grep", "head", "hostname", "id", "kill", "ls", "mkdir",
    "mknod", "mount", "nproc", "ps", "pwd", "readlink", "rm", "sleep", "sort", "stat", "stty",
    "touch", "true", "tty", "umount", "umask", "wc", "dd", "chmod", "ln", "seq", "sed", "awk",
)  # fmt: skip


def needs_root() -> str:
    """Why the kernel cannot be asked here, or ""."""
    if os.geteuid() != 0:
        return "needs root: it makes real containers"
    if not shutil.which("busybox"):
        return "needs busybox-static (make installs it)"
    return ""


class Bundle:
    """A busybox bundle in a directory of its own."""

    def __init__(self, path: Path, template: dict[str, Any]) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        bin_dir = self.rootfs / "bin"
        bin_dir.mkdir(parents=True)
        shutil.copy(str(shutil.which("busybox")), bin_dir / "busybox")
        for applet in APPLETS:
            (bin_dir / applet).symlink_to("busybox")
        self.config = copy.deepcopy(template)
        self.config["process"]["terminal"] = False
        self.args("/bin/true")

    def args(self, *args: str) -> Bundle:
        self.config["process"]["args"] = list(args)
        return self.write()

    def shell(self, script: str) -> Bundle:
        return self.args("/bin/sh", "-c", script)

    def write(self) -> Bundle:
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self

    def raw(self, text: str | bytes) -> Bundle:
        data = text.encode() if isinstance(text, str) else text
        (self.path / "config.json").write_bytes(data)
        return self


class Runtime:
    """A runtime's command line with a state root of its own."""

    def __init__(self, program: str, root: Path) -> None:
        self.program = program
        self.root = root
        self.prefix: tuple[str, ...] = ()  # a command that the runtime runs under
        self.options: tuple[str, ...] = ()  # global ones
        self._count = 0
        self.ids: list[str] = []

    def new_id(self) -> str:
        self._count += 1
        name = f"pyrunc-test-{os.getpid()}-{self.root.parent.name}-{self._count}"
        self.ids.append(name)
        return name

    def __call__(
        self, *args: str, check: bool = True, timeout: float = 60, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [*self.prefix, self.program, "--root", str(self.root), *self.options, *args],
            check=False, capture_output=True, text=True, timeout=timeout * SLOW, **options,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"{args}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done

    def create(self, bundle: Bundle, container_id: str | None = None, *options: str) -> str:
        """Create with stdio on /dev/null: the container would hold a captured pipe open."""
        name = container_id or self.new_id()
        with open(os.devnull, "r+b") as null:
            subprocess.run(
                [*self.prefix, self.program, "--root", str(self.root), *self.options, "create",
                 *options, "-b", str(bundle.path), name],
                check=True, stdin=null, stdout=null, stderr=null, timeout=60 * SLOW,
            )  # fmt: skip
        return name

    def run(self, bundle: Bundle, **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("check", False)
        return self("run", "-b", str(bundle.path), self.new_id(), **options)

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("state", name).stdout)
        return found

    def until(self, name: str, status: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds * SLOW
        while self.state(name)["status"] != status:
            assert time.monotonic() < deadline, f"{name} did not become {status}"
            time.sleep(0.01)

    def spawn(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        options.setdefault("stdin", subprocess.DEVNULL)
        command = [*self.prefix, self.program, "--root", str(self.root), *self.options, *args]
        return subprocess.Popen(command, **options)

    def clean(self) -> None:
        for name in self.ids:
            self("delete", "--force", name, check=False)


def put(runtime: Runtime, bundle: Bundle, state: str) -> str:
    """A container in a state; its name."""
    if state == "none":
        return runtime.new_id()
    name = runtime.create(bundle)
    if state != "created":
        runtime("start", name)
    if state == "paused":
        runtime("pause", name)
    if state == "stopped":
        runtime("kill", name, "KILL")
        runtime.until(name, "stopped")
    return name


def in_time(ready: Callable[[], object], seconds: float = 20) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + seconds * SLOW
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def at_once(work: Callable[[int], object], count: int) -> None:
    """Call it with each number below `count`, all in threads of their own."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 * SLOW)
        assert not thread.is_alive(), "waited too long"


def lacks_runc() -> str:
    """Why nothing can be compared with runc here, or ""."""
    if reason := needs_root():
        return reason
    if not shutil.which("runc"):
        return "needs runc"
    version = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True)
    return "" if "runc version 1.1." in version.stdout else "what is compared is runc 1.1"


def said(runtime: Runtime, bundle: Bundle, script: str) -> str:
    """What a shell script prints in a container, which has to be made."""
    done = runtime.run(bundle.shell(script))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(runtime: Runtime, bundle: Bundle) -> str:
    """The one line that says why there is no container."""
    done = runtime.run(bundle.args("/bin/true"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def receive(listener: socket.socket) -> int:
    """What a console socket gets: one message, with one descriptor."""
    connection, _ = listener.accept()
    with connection:
        data, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    assert 1 <= len(data) < 4096
    [(level, kind, payload)] = control
    assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    fds = array.array("i", payload)
    assert len(fds) == 1
    return int(fds[0])


def read_until(fd: int, wanted: bytes, seconds: float = 10) -> bytes:
    """Read until it has come; the rest of what was read is part of it."""
    data = b""
    deadline = time.monotonic() + seconds * SLOW
    while wanted not in data:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, data
        try:
            data += os.read(fd, 4096)
        except OSError:
            break
    assert wanted in data, data
    return data


def cgroups_named(part: str) -> list[str]:
    """All cgroup directories of this host whose name holds `part`."""
    # Not os.walk, which is recursive: test_cgroup_depth.py makes a thousand levels.
    found, left = [], ["/sys/fs/cgroup"]
    while left:
        base = left.pop()
        try:
            names = [entry.name for entry in os.scandir(base) if entry.is_dir()]
        except OSError:
            continue  # gone meanwhile
        found += [f"{base}/{name}" for name in names if part in name]
        if base.count("/") < 40:
            left += [f"{base}/{name}" for name in names]
    return found


def remove_cgroups(part: str) -> None:
    """For a peer: `runc delete` gives up on a cgroup whose processes take long to die."""
    deadline = time.monotonic() + 5 * SLOW
    for path in sorted(cgroups_named(part), reverse=True):
        while os.path.isdir(path):
            try:
                os.rmdir(path)
            except OSError:
                assert time.monotonic() < deadline, f"{path} cannot be removed"
                time.sleep(0.05)


# As systemd mounts cgroup2. Any new mount of it from the host's cgroup namespace, as runc makes
# them, takes what it does not name from all of the host.
CGROUP_OPTIONS = frozenset({"nsdelegate", "memory_recursiveprot"})


def cgroup_options() -> frozenset[str]:
    """Those of CGROUP_OPTIONS that the guest's cgroups have."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == "/sys/fs/cgroup":
            return CGROUP_OPTIONS & set(fields[-1].split(","))
    raise AssertionError("no cgroup mount")


def restore_cgroup_options() -> None:
    if cgroup_options() != CGROUP_OPTIONS:
        options = f"remount,{','.join(sorted(CGROUP_OPTIONS))}"
        subprocess.run(["mount", "-o", options, "/sys/fs/cgroup"], check=True)
        assert cgroup_options() == CGROUP_OPTIONS


def default_config() -> dict[str, Any]:
    """What `pyrunc spec` writes on this host."""
    from pyrunc import cgroups
    from pyrunc.spec.template import default_spec

    return default_spec(False, 0, 0, cgroups.detect().kind == "v2")
