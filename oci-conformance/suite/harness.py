# SPDX-License-Identifier: Apache-2.0
"""A runtime's command line, a bundle, and what a case may ask of them.

Only `create`, `start`, `state`, `kill` and `delete` are used (runtime.md, Operations), with the
options that every runtime has: `--bundle`, and `--root` if its help knows it.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SLOW = float(os.environ.get("OCI_CONFORMANCE_SLOW", "1"))
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD", "CAP_SETGID",
    "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip
PR_SET_CHILD_SUBREAPER = 36
ESCAPES = {"n": "\n", "t": "\t"}  # the probe's


class Broken(AssertionError):
    """A clause is not kept: what it asks for, and what was seen."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected: {expected}\nseen: {seen}")
        self.expected = expected
        self.seen = seen


class Lenient(Exception):
    """What the clause refuses is accepted, with a warning: its text."""


def become_reaper() -> None:
    """A container's first process is our child when `create` has ended: it can be waited for."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def default_config() -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "cwd": "/",
            "args": ["/probe"],
            "env": ["PATH=/"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {
                kind: list(CAPABILITIES) for kind in ("bounding", "permitted", "effective")
            },
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc")]},
    }


class Runtime:
    """The command, and what is known of it."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.directory = directory
        words = _help(program)
        self.options = ["--root", str(directory / "state")] if "--root" in words else []
        # `create` may keep its warnings to itself otherwise: its stderr is the container's too.
        self.telling = ["--debug"] if "--debug" in words else []

    def __call__(
        self, *args: str, out: Path | None = None, cwd: Path | None = None, keep: Any = ()
    ) -> tuple[int, str]:
        """Run it to its end: exit status, and what it wrote to stderr (or to stdout with it)."""
        errors = self.directory / "stderr"
        with open(out or errors, "ab" if out else "wb") as stdout, open(errors, "wb") as stderr:
            child = subprocess.Popen(
                [self.program, *self.options, *args], cwd=cwd, pass_fds=keep,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr if out else stdout,
            )  # fmt: skip
            try:
                code = child.wait(20 * SLOW)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise Broken(f"{args[0]} ends", f"it did not end in {20 * SLOW:.0f} s") from None
        return code, errors.read_text(errors="replace").strip()

    def query(self, *args: str) -> tuple[int, str]:
        """As above, with what it wrote to stdout alone."""
        answer = self.directory / "stdout"
        answer.unlink(missing_ok=True)
        code, errors = self(*args, out=answer)
        return code, answer.read_text(errors="replace") if code == 0 else errors


@functools.cache
def _help(program: str) -> str:
    text = subprocess.run([program, "--help"], check=False, capture_output=True, text=True)
    return text.stdout + text.stderr


class Box:
    """One container and its bundle."""

    count = 0

    def __init__(self, program: str, directory: Path, probe: Path) -> None:
        self.runtime = Runtime(program, directory)
        self.directory = directory
        self.bundle = directory / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.rootfs.mkdir(parents=True)
        for name in ("proc", "dev", "sys", "tmp"):
            (self.rootfs / name).mkdir()
        (self.rootfs / "tmp").chmod(0o1777)
        os.link(probe, self.rootfs / "probe")
        self.probe = str(self.rootfs / "probe")
        self.out = directory / "out"
        self.hooked = directory / "hooked"
        self.config = default_config()
        self.errors = ""
        self.pids: list[int] = []
        self.ids: list[str] = []
        self.id = self.new_id()

    def new_id(self) -> str:
        Box.count += 1
        self.ids.append(f"oci-conformance-{os.getpid()}-{Box.count}")
        return self.ids[-1]

    def put(self, changes: Mapping[str, Any]) -> Box:
        """Set members by JSON pointer (RFC 6901); `-` appends, None removes."""
        for pointer, value in changes.items():
            *parents, last = pointer.strip("/").split("/")
            place: Any = self.config
            for key in parents:
                if isinstance(place, list):
                    place = place[int(key)]
                else:
                    place = place.setdefault(key.replace("~1", "/"), {})
            if isinstance(place, list):
                place.append(value) if last == "-" else place.__setitem__(int(last), value)
            elif value is None:
                place.pop(last.replace("~1", "/"), None)
            elif last == "-":
                raise KeyError(pointer)
            else:
                place[last.replace("~1", "/")] = value
        return self

    def mount(self, destination: str, kind: str, source: str, *options: str) -> Box:
        made: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
        if options:
            made["options"] = list(options)
        self.config["mounts"].append(made)
        return self

    def namespace(self, kind: str, path: str | None = None) -> Box:
        self.config["linux"]["namespaces"].append(
            {"type": kind} if path is None else {"type": kind, "path": path}
        )
        return self

    def without(self, kind: str) -> Box:
        all_of_them = self.config["linux"]["namespaces"]
        self.config["linux"]["namespaces"] = [one for one in all_of_them if one["type"] != kind]
        return self

    def hook(self, kind: str, *questions: str, name: str | None = None, **members: Any) -> Box:
        """A hook that is the probe; its answers are labelled with its kind."""
        inside = kind == "startContainer"
        path = "/probe" if inside else self.probe
        out = "/hooked" if inside else str(self.hooked)
        args = [path, f"label:{name or kind}", f"out:{out}", *questions]
        made = {"path": path, "args": args, **members}
        self.config.setdefault("hooks", {}).setdefault(kind, []).append(made)
        return self

    # What a runtime is asked to do.

    def try_create(
        self, *options: str, before: Sequence[str] = (), keep: Any = (), text: str | None = None
    ) -> int:
        """Exit status; stderr is in `errors`. `before`: options that come before the command."""
        made = json.dumps(self.config) if text is None else text
        (self.bundle / "config.json").write_text(made)
        code, self.errors = self.runtime(
            *before, "create", "--bundle", str(self.bundle), *options, self.id,
            out=self.out, keep=keep,
        )  # fmt: skip
        if code == 0:
            self.pids.append(int(self.state().get("pid", 0)))
        return code

    def create(self, *questions: str) -> Box:
        if questions:
            self.config["process"]["args"] = ["/probe", *questions]
        if self.try_create() != 0:
            raise Broken("create succeeds", self.errors[-600:])
        return self

    def start(self) -> Box:
        code, text = self.runtime("start", self.id, out=self.out)
        if code != 0:
            raise Broken("start succeeds", text[-600:])
        return self

    def state(self) -> dict[str, Any]:
        code, text = self.runtime.query("state", self.id)
        if code != 0:
            raise Broken("state succeeds", text[-600:])
        try:
            found: dict[str, Any] = json.loads(text)
        except ValueError:
            raise Broken("state prints a JSON document", text[:200]) from None
        return found

    def exists(self, name: str | None = None) -> bool:
        return self.runtime.query("state", name or self.id)[0] == 0

    def wait(self) -> int:
        """The status of the program, as wait(2) has it (0 where another process reaped it)."""
        pid = self.pids[-1]
        try:
            fd = os.pidfd_open(pid)
        except (ProcessLookupError, OSError):
            return 0
        try:
            if not select.select([fd], [], [], 20 * SLOW)[0]:
                raise Broken("the program ends", "it did not end in time")
        finally:
            os.close(fd)
        with suppress(ChildProcessError):
            return os.waitpid(pid, 0)[1]
        return 0

    def until(self, status: str) -> None:
        deadline = time.monotonic() + 10 * SLOW
        while (seen := self.state().get("status")) != status:
            if time.monotonic() > deadline:
                raise Broken(f"status becomes {status}", str(seen))
            time.sleep(0.01)

    def until_said(self, word: str) -> None:
        deadline = time.monotonic() + 10 * SLOW
        while word not in self.out.read_text():
            if time.monotonic() > deadline:
                raise Broken(f"the program runs until it says {word}", self.out.read_text())
            time.sleep(0.005)

    def kill(self, name: str = "KILL") -> None:
        code, text = self.runtime("kill", self.id, name)
        if code != 0:
            raise Broken("kill succeeds", text[-600:])

    def delete(self) -> None:
        code, text = self.runtime("delete", self.id)
        if code != 0:
            raise Broken("delete succeeds", text[-600:])

    def ask(self, *questions: str) -> dict[str, str]:
        """A whole life: what the program answers."""
        self.create(*questions).start().wait()
        self.until("stopped")
        self.delete()
        return self.answers()

    def run_hooks(self) -> list[tuple[str, str, str]]:
        """A whole life; what the hooks have answered, in their order."""
        self.create("exit:0").start().wait()
        self.until("stopped")
        self.delete()
        return self.hook_answers()

    def answers(self, label: str = "program") -> dict[str, str]:
        return {question: text for who, question, text in _lines(self.out) if who == label}

    def hook_answers(self) -> list[tuple[str, str, str]]:
        return _lines(self.hooked) + _lines(self.rootfs / "hooked")

    # What a case holds against a clause.

    def refused(self, by: str = "create", text: str | None = None) -> None:
        """The configuration is refused by `create` (or, where the clause allows it, by `start`)."""
        if self.try_create(before=self.runtime.telling, text=text) == 0:
            if by == "start" and self.runtime("start", self.id, out=self.out)[0] != 0:
                return
            if said := _warnings(self.errors):
                raise Lenient(said)
            raise Broken("an error", "it is accepted, without a word")
        if self.exists():
            raise Broken("no container is left by a create that failed", "state finds one")

    def clean(self) -> None:
        """Nothing stays, whatever the runtime has forgotten."""
        for name in self.ids:
            if self.exists(name):
                self.runtime("kill", name, "KILL")
                _reap(1.0)
                self.runtime("delete", name)
        _reap(5.0)
        for name in self.ids:
            for place in Path("/sys/fs/cgroup").glob(f"*/{name}"):
                _remove_cgroup(place)
            _remove_cgroup(Path("/sys/fs/cgroup") / name)
        shutil.rmtree(self.directory, ignore_errors=True)


def _warnings(text: str) -> str:
    found = re.findall(r"^.*(?:level=warn|\bwarning\b|\bWARN).*$", text, re.MULTILINE)
    return "\n".join(line.partition("msg=")[2] or line for line in found)[-300:]


def _lines(path: Path) -> list[tuple[str, str, str]]:
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        parts = line.split("\t", 2)
        if len(parts) == 3:
            text = re.sub(r"\\(.)", lambda it: ESCAPES.get(str(it[1]), str(it[1])), parts[2])
            found.append((parts[0], parts[1], text))
    return found


def _remove_cgroup(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(directory)


def _reap(seconds: float) -> None:
    """Wait for the children that we got as the subreaper; in the end, kill them."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > deadline - seconds * SLOW / 2:
            _kill_children()
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def _kill_children() -> None:
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


CAPABILITY_NUMBERS = {"CAP_SYS_RESOURCE": 24, "CAP_SYS_TIME": 25}


def needs_capability(name: str, why: str) -> None:
    """Skip where the caller of the runtime lacks it: in a sandbox, root is not always root."""
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "CapEff" and not int(value, 16) >> CAPABILITY_NUMBERS[name] & 1:
            pytest.skip(f"the caller needs {name} {why}")


def equal(what: str, expected: object, seen: object) -> None:
    if expected != seen:
        raise Broken(f"{what}: {expected!r}", repr(seen))


def true(condition: object, expected: str, seen: object) -> None:
    if not condition:
        raise Broken(expected, str(seen))
