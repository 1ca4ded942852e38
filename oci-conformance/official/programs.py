# SPDX-License-Identifier: Apache-2.0
"""Runs one program of the suite with one runtime, and removes what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from official.tap import Points, parse

# Its own cgroup, by every program that makes one.
CGROUP = "cgrouptest"


@dataclass
class Outcome:
    """How a program has ended.

    Attributes:
        points: what it printed.
        code: its exit code; None where it ran out of time.
        seconds: the time it was given.
    """

    points: Points
    code: int | None
    seconds: float

    @property
    def word(self) -> str:
        """pass, FAIL, none (no point at all) or time-out."""
        if self.code is None:
            return "time-out"
        if self.points.failed or self.code != 0:
            return "FAIL"
        return "pass" if self.points.passed else "none"

    @property
    def detail(self) -> str:
        """What a person wants to know of one that has not passed."""
        if self.code is None:
            return f"did not end within {self.seconds:g} s"
        if self.points.failed:
            return "; ".join(self.points.failed[:3])
        return self.points.remarks[-1] if self.points.remarks and self.word != "pass" else ""


def names(suite: Path) -> list[str]:
    """The programs of a checkout that have been built."""
    return sorted(path.parent.name for path in suite.glob("validation/*/*.t"))


class Runner:
    """Runs programs of a checkout.

    Args:
        suite: the checkout, with runtimetest and the programs built.
        seconds: how long one may take.
    """

    def __init__(self, suite: Path, seconds: float) -> None:
        self.suite = suite
        self.seconds = seconds

    def run(self, name: str, runtime: str) -> Outcome:
        """Run a program, in mount, UTS and IPC namespaces of its own: one of them makes a
        container without any."""
        scratch = Path(tempfile.mkdtemp(prefix="oci-conformance-"))
        root = scratch / "root"
        root.mkdir(mode=0o700)
        # Programs use the default state root; theirs is one that can be swept.
        wrapper = scratch / "runtime"
        wrapper.write_text(f'#!/bin/sh\nexec "{runtime}" --root "{root}" "$@"\n')
        wrapper.chmod(0o755)
        before = _cgroups()
        try:
            return self._run(name, wrapper, scratch)
        finally:
            _sweep(runtime, root)
            for path in sorted(_cgroups() - before, reverse=True):
                _remove(path)
            shutil.rmtree(scratch, ignore_errors=True)

    def _run(self, name: str, wrapper: Path, scratch: Path) -> Outcome:
        (scratch / "tmp").mkdir(mode=0o755)
        scratch.chmod(0o755)
        command = ["unshare", "--mount", "--uts", "--ipc", f"./validation/{name}/{name}.t"]
        environment = os.environ | {"RUNTIME": str(wrapper), "TMPDIR": str(scratch / "tmp")}
        output = scratch / "output"
        # Not a pipe: what a program leaves running would hold it open.
        with open(output, "wb") as out:
            process = subprocess.Popen(
                command, cwd=self.suite, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            code: int | None
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
        return Outcome(parse(output.read_text(errors="replace")), code, self.seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _sweep(runtime: str, root: Path) -> None:
    """Delete the containers that are left."""
    for entry in root.iterdir():
        if entry.is_dir() and ":" not in entry.name:
            subprocess.run(
                [runtime, "--root", str(root), "delete", "--force", entry.name],
                check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            )  # fmt: skip


def _cgroups() -> set[Path]:
    """The suite's cgroups, in every hierarchy."""
    top = Path("/sys/fs/cgroup")
    hierarchies = [top, *(path for path in top.iterdir() if path.is_dir())]
    found: set[Path] = set()
    for hierarchy in hierarchies:
        if (hierarchy / CGROUP).is_dir():
            found |= {path for path in (hierarchy / CGROUP).rglob("*") if path.is_dir()}
            found.add(hierarchy / CGROUP)
    return found


def _remove(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        pass  # it has processes, which are not ours to kill
