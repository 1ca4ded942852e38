# SPDX-License-Identifier: Apache-2.0
"""The engines' side of the contract: each caller with its own argv, environment and stdio.

None of them is installed; each method is what one of them does. A runtime's output goes to files,
since what a container inherits would keep a pipe open; the callers that really use pipes get them.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lib import support

SETPRIV = str(shutil.which("setpriv"))
WAIT = 60.0  # no runtime takes as long; on emulated machines times support.SLOW


@dataclass
class Done:
    """What a caller sees of a command that has ended."""

    code: int
    out: str
    err: str
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What go-runc makes its error of."""
        return self.out + self.err


def in_time(what: str, ready: Any, seconds: float = 20) -> Any:
    """Poll, as the callers do, until `ready` says something."""
    deadline = time.monotonic() + seconds * support.SLOW
    while not (found := ready()):
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)
    return found


class Caller:
    """One engine with a runtime: `prefix` stands before each command, `env` is all there is."""

    pdeathsig = False

    def __init__(self, runtime: support.Runtime, directory: Path) -> None:
        self.runtime = runtime
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.log: Path | None = None
        self._calls = 0

    def env(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}

    def prefix(self) -> list[str]:
        return ["--root", str(self.runtime.root)]

    def argv(self, *words: str) -> list[str]:
        # go-runc's and conmon's child dies with its parent; setpriv execs, the pid stays the same.
        guard = [SETPRIV, "--pdeathsig", "KILL"] if self.pdeathsig else []
        program = str(shutil.which(self.runtime.program))
        return [*guard, program, *self.prefix(), *words]

    def spawn(self, *words: str, **io: Any) -> subprocess.Popen[bytes]:
        io.setdefault("stdin", subprocess.DEVNULL)
        io.setdefault("env", self.env())
        return subprocess.Popen(self.argv(*words), **io)

    def file(self, kind: str) -> Path:
        self._calls += 1
        return self.directory / f"{type(self).__name__}-{self._calls}-{kind}"

    def __call__(self, *words: str, given: str | None = None, **io: Any) -> Done:
        """Run a command to its end."""
        out, err = self.file("out"), self.file("err")
        before = self.log.stat().st_size if self.log and self.log.exists() else 0
        with out.open("wb") as out_file, err.open("wb") as err_file:
            if given is not None:
                source = self.file("in")
                source.write_text(given)
                io["stdin"] = source.open("rb")
            process = self.spawn(*words, stdout=out_file, stderr=err_file, **io)
            if given is not None:
                io["stdin"].close()
            code = wait(process)
        done = Done(code, out.read_text(), err.read_text())
        if self.log and self.log.exists():
            text = self.log.read_text()[before:]
            done.records = [json.loads(line) for line in text.splitlines()]
        return done


def wait(process: subprocess.Popen[bytes], seconds: float = WAIT) -> int:
    try:
        return process.wait(seconds * support.SLOW)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


class Plain(Caller):
    """Somebody at a shell: no log file."""


class Shim(Caller):
    """containerd's shim, by go-runc (3.1)."""

    pdeathsig = True

    def __init__(self, runtime: support.Runtime, directory: Path) -> None:
        super().__init__(runtime, directory)
        self.log = directory / "log.json"

    def prefix(self) -> list[str]:
        return ["--root", str(self.runtime.root), "--log", str(self.log), "--log-format", "json"]

    def create(self, bundle: Path, name: str, *options: str, **io: Any) -> Done:
        """`B/init.pid` is what the shim reads next."""
        return self(
            "create", "--bundle", str(bundle), "--pid-file", f"{bundle}/init.pid",
            *options, name, **io,
        )  # fmt: skip

    def exec(self, name: str, process: dict[str, Any], pid_file: Path, *options: str) -> Done:
        """Detached; the process object in a file, no words."""
        file = self.file("process")
        file.write_text(json.dumps(process))
        return self(
            "exec", "--process", str(file), *options, "--detach", "--pid-file", str(pid_file), name
        )


class Conmon(Caller):
    """podman's and cri-o's monitor: a session of its own, argv of 3.3, waitpid before reading."""

    pdeathsig = True

    def prefix(self) -> list[str]:
        log = ["--log-format=json", f"--log={self.directory}/oci-log"]
        return [*super().prefix(), *log]

    def __call__(self, *words: str, given: str | None = None, **io: Any) -> Done:
        """Nobody reads the pipes until the runtime has gone (so it must not fill them)."""
        out, err = os.pipe(), os.pipe()
        process = self.spawn(*words, stdout=out[1], stderr=err[1], start_new_session=True, **io)
        os.close(out[1])
        os.close(err[1])
        try:
            code = wait(process)
            os.set_blocking(out[0], False)
            # After a failed create conmon reads once, and blocks.
            texts = [_read_once(out[0]), os.read(err[0], 8191) if code else _read_once(err[0])]
        finally:
            os.close(out[0])
            os.close(err[0])
        return Done(code, *(text.decode() for text in texts))

    def create(self, bundle: Path, name: str, *options: str, **io: Any) -> Done:
        pid_file = f"{bundle}/pidfile"
        words = ("create", "--bundle", str(bundle), "--pid-file", pid_file)
        return self(*words, *options, name, **io)

    def exec(self, name: str, process: dict[str, Any], pid_file: Path, *options: str) -> Done:
        file = self.file("process")
        file.write_text(json.dumps(process))
        words = ("exec", "--pid-file", str(pid_file), "--process", str(file), "--detach")
        return self(*words, *options, name)


def _read_once(fd: int) -> bytes:
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 8191)
    return b""


class Podman(Caller):
    """podman's direct calls: XDG_RUNTIME_DIR is all of the environment, and empty (3.3)."""

    def env(self) -> dict[str, str]:
        return {"XDG_RUNTIME_DIR": ""}


class CriO(Caller):
    """CRI-O's direct calls (3.5)."""

    def env(self) -> dict[str, str]:
        return {"CRI_O_EXTERNAL": "1", "XDG_RUNTIME_DIR": "/run", "PATH": os.environ["PATH"]}

    def exec(self, name: str, process: dict[str, Any], **io: Any) -> subprocess.Popen[bytes]:
        """In the foreground: stdio are kubectl's streams, the exit code is kubectl's."""
        file = self.file("process")
        file.write_text(json.dumps(process))
        return self.spawn("exec", "--process", str(file), name, **io)


class Buildah(Caller):
    """buildah run (3.4): the bundle is the working directory, the state is polled."""

    def create(self, bundle: Path, name: str) -> Done:
        words = ("create", "--bundle", str(bundle), "--pid-file", f"{bundle}/pid")
        return self(*words, name, cwd=bundle)

    def until(self, name: str, status: str) -> dict[str, Any]:
        def ready() -> dict[str, Any] | None:
            state = json.loads(self("state", name).out)
            # Any other one is an error of buildah's.
            assert state["status"] in ("creating", "created", "running", "stopped")
            return state if state["status"] == status else None

        found: dict[str, Any] = in_time(status, ready)
        return found


class BuildKit(Caller):
    """BuildKit's executor (3.6): `run --keep` in the foreground, in a process group of its own."""

    pdeathsig = True

    def __init__(self, runtime: support.Runtime, directory: Path) -> None:
        super().__init__(runtime, directory)
        self.log = directory / "runc-log.json"

    def prefix(self) -> list[str]:
        return [*super().prefix(), "--log", str(self.log), "--log-format", "json"]

    def run(self, bundle: Path, name: str, **io: Any) -> subprocess.Popen[bytes]:
        io.setdefault("process_group", 0)
        return self.spawn("run", "--bundle", str(bundle), "--keep", name, **io)

    def until_running(self, name: str) -> dict[str, Any]:
        """Also before there is a state: `state` may say that the container does not exist."""

        def ready() -> dict[str, Any] | None:
            done = self("state", name)
            if done.code:
                assert "does not exist" in done.text, done
                return None
            state: dict[str, Any] = json.loads(done.out)
            return state if state["status"] == "running" else None

        found: dict[str, Any] = in_time("running", ready)
        return found

    def cancel(self, name: str, run: subprocess.Popen[bytes]) -> int:
        """`kill ID 9` again and again, until run has ended."""

        def ended() -> bool:
            self("kill", name, "9")
            return run.poll() is not None

        in_time("the end of run", ended)
        return int(run.returncode)


class Console:
    """A console socket: accepted only when the runtime has gone (7.2)."""

    def __init__(self, directory: Path, name: str = "console.sock") -> None:
        # The directory by descriptor: tmp_path may be longer than sun_path.
        self.path = str(directory / name)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4)

    def message(self) -> tuple[bytes, int]:
        """go-runc's checks: fewer than 4096 bytes, and control data of exactly one descriptor."""
        self.listener.settimeout(10 * support.SLOW)
        connection, _ = self.listener.accept()
        with connection:
            data, control, flags, _ = connection.recvmsg(4096, socket.CMSG_SPACE(64))
            # One message, then the end.
            rest = connection.recv(16)
        assert 1 <= len(data) < 4096
        assert (flags & socket.MSG_CTRUNC, rest) == (0, b"")
        [(level, kind, payload)] = control
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        [fd] = array.array("i", payload)
        return data, fd

    def close(self) -> None:
        self.listener.close()
        os.unlink(self.path)


def status_of(pid: int, flags: int = 0) -> int | None:
    """How an adopted child ended: its code, or 128 and the signal."""
    found, status = os.waitpid(pid, flags)
    if found == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def reap(pid: int) -> int:
    """waitpid(2) for an adopted child, but not for ever."""
    ended = in_time(
        "the end of init", lambda: [c for c in [status_of(pid, os.WNOHANG)] if c is not None]
    )
    return int(ended[0])


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what a test has started, however it stands."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
